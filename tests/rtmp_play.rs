//! The course of a play session: what is sent, what each answer means, how long each phase may take, what the end is called.

mod rtmp_support;

use std::time::{Duration, Instant};

use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::capabilities::ServerCapabilities;
use rtmp_hmonitor::model::report::Phase;
use rtmp_hmonitor::model::spec::PhaseTimeouts;
use rtmp_hmonitor::rtmp::amf::Writer;
use rtmp_hmonitor::rtmp::{Introduction, SessionError, SessionEvent, UnpublishCode};
use rtmp_support::*;

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle.as_bytes())
}

#[test]
fn from_the_handshake_to_media() {
    let mut client = Client::new();
    assert_eq!(client.session.transmit().len(), 1537);
    assert_eq!(client.session.transmit()[0], 3);

    client.feed(&handshake()).unwrap();
    let sent = client.sent();
    assert_eq!(sent.len(), 1);
    let connect = &sent[0].data;
    for text in ["connect", "app\x02\x00\x04live", "rtmp://origin.example/live", "objectEncoding"] {
        assert!(contains(connect, text), "{text}");
    }
    assert!(!contains(connect, "S3CRETKEY"), "the key is for play only");

    client.feed(&connected()).unwrap();
    let sent = client.sent();
    assert_eq!(sent.iter().map(|m| m.type_id).collect::<Vec<_>>(), [5, 20, 20]);
    assert!(contains(&sent[1].data, "createStream"));
    assert!(contains(&sent[2].data, "FCSubscribe") && contains(&sent[2].data, "S3CRETKEY?token=T0KENVALUE"));

    client.feed(&created()).unwrap();
    let sent = client.sent();
    assert_eq!(sent.iter().map(|m| m.type_id).collect::<Vec<_>>(), [4, 20, 4]);
    assert_eq!(sent[0].data[..6], [0, 3, 0, 0, 0, 1], "buffer length of stream 1");
    assert!(contains(&sent[1].data, "S3CRETKEY?token=T0KENVALUE"));
    assert_eq!(sent[1].message_stream_id, 1);
    assert_eq!(sent[2].data[..2], [0, 6], "a ping tells whether the origin lives");

    assert_eq!(client.events(), PHASES_DONE[..2]);
    client.feed(&status("status", "NetStream.Play.Reset", "")).unwrap();
    client.feed(&user_control(0, &[0, 0, 0, 1])).unwrap();
    assert_eq!(client.events(), [], "not yet the answer");
    client.feed(&status("status", "NetStream.Play.Start", "")).unwrap();
    assert_eq!(client.events(), PHASES_DONE[2..]);
    client.feed(&video(0, 10)).unwrap();
    assert_eq!(client.media().len(), 1);
    assert_eq!(client.session.poll_timeout(), None);
}

#[test]
fn media_is_an_answer_to_play() {
    let mut client = Client::new();
    client.feed(&[handshake(), connected(), created(), video(7, 10)].concat()).unwrap();
    let seen = client.take();
    assert_eq!(seen[..3], PHASES_DONE.map(Seen::Event));
    assert!(matches!(seen[3], Seen::Media { timestamp: 7, .. }));
}

#[test]
fn slow_bytes_one_by_one() {
    let mut client = Client::new();
    for byte in [start_of_play(), video(7, 10)].concat() {
        client.feed(&[byte]).unwrap();
    }
    assert_eq!(client.take().len(), 4);
}

#[test]
fn each_phase_has_its_time() {
    let second = Duration::from_secs(1);
    let timeouts = PhaseTimeouts {
        connect_total: 10 * second,
        handshake: second,
        connect: 2 * second,
        play: 3 * second,
        ..PhaseTimeouts::default()
    };
    let steps = [handshake(), connected(), created()];
    for (done, phase, allowed, cause) in [
        (0, Phase::Handshake, second, DownCause::Handshake),
        (1, Phase::Connect, 2 * second, DownCause::OriginUnresponsive),
        (2, Phase::Play, 3 * second, DownCause::OriginUnresponsive),
        (3, Phase::Play, 3 * second, DownCause::OriginUnresponsive),
    ] {
        let mut client = Client::with_timeouts(timeouts);
        client.feed(&steps[..done].concat()).unwrap();
        assert_eq!(client.session.poll_timeout(), Some(client.start + allowed));
        client.pass(allowed - Duration::from_millis(1)).unwrap();
        let error = client.pass(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error, SessionError::Timeout(phase));
        assert_eq!(error.cause(), cause);
    }
}

#[test]
fn all_phases_together_have_a_budget() {
    let mut client = Client::new(); // 5 s for each and for all
    client.pass(Duration::from_secs(4)).unwrap();
    client.feed(&handshake()).unwrap();
    assert_eq!(client.session.poll_timeout(), Some(client.start + Duration::from_secs(5)));
    assert_eq!(client.pass(Duration::from_secs(1)).unwrap_err(), SessionError::Timeout(Phase::Connect));
}

#[test]
fn an_accepted_play_without_media_is_told_once_and_goes_on() {
    let mut client = Client::playing();
    client.feed(&message(5, 0, 18, b"\x02\0\x0aonMetaData\x05")).unwrap();
    client.take();
    assert_eq!(client.session.poll_timeout(), Some(client.start + Duration::from_secs(8)));
    client.pass(Duration::from_secs(8)).unwrap();
    assert_eq!(client.events(), [SessionEvent::NoMedia]);
    assert_eq!(client.session.poll_timeout(), None);
    client.pass(Duration::from_secs(60)).unwrap();
    assert_eq!(client.events(), []);
    client.feed(&video(0, 1)).unwrap();
    assert_eq!(client.media().len(), 1);
}

#[test]
fn an_origin_that_lives_but_keeps_back_its_word_has_no_media() {
    let mut client = Client::new();
    client.feed(&[handshake(), connected(), created()].concat()).unwrap();
    client.feed(&user_control(7, &[0, 0, 0, 0])).unwrap();
    client.take();
    client.pass(Duration::from_secs(5)).unwrap();
    assert_eq!(client.events(), [SessionEvent::NoMedia]);
    client.pass(Duration::from_secs(600)).unwrap();
    client.feed(&status("status", "NetStream.Play.Start", "")).unwrap();
    client.pass(Duration::from_secs(60)).unwrap();
    assert_eq!(client.events(), PHASES_DONE[2..]);
}

#[test]
fn a_bare_close_is_named_by_its_phase() {
    let steps = [handshake(), connected(), created(), status("status", "NetStream.Play.Start", ""), video(0, 1)];
    let phases = [
        Some(Phase::Handshake),
        Some(Phase::Connect),
        Some(Phase::Play),
        Some(Phase::Play),
        Some(Phase::FirstMedia),
        None,
    ];
    for (done, phase) in phases.into_iter().enumerate() {
        let mut client = Client::new();
        client.feed(&steps[..done].concat()).unwrap();
        let error = client.session.handle_eof();
        assert_eq!(error, SessionError::Closed(phase));
        assert_eq!(error.cause(), if done == 0 { DownCause::Handshake } else { DownCause::Closed });
    }
}

#[test]
fn refusals() {
    for (code, cause) in [
        ("NetStream.Play.StreamNotFound", DownCause::NotFound),
        ("NetStream.Play.Failed", DownCause::Rejected),
        ("NetStream.Play.Unheard.Of", DownCause::Rejected),
        ("NetConnection.Connect.Rejected", DownCause::Rejected),
        ("NetConnection.Connect.InvalidApp", DownCause::Rejected),
        ("NetConnection.Connect.Closed", DownCause::Closed),
        ("NetConnection.Connect.AppShutdown", DownCause::Closed),
    ] {
        let echo = "cannot do live/S3CRETKEY?token=T0KENVALUE";
        let refusal = |name, id| command(info(Writer::default().text(name).number(id).null(), "error", code, echo));
        for bytes in [
            [handshake(), refusal("_error", 1.0)].concat(),
            [handshake(), connected(), refusal("_error", 2.0)].concat(),
            [handshake(), connected(), created(), refusal("_error", 3.0)].concat(),
            [handshake(), connected(), created(), refusal("onStatus", 0.0)].concat(),
            [start_of_play(), refusal("onStatus", 0.0)].concat(),
        ] {
            let error = Client::new().feed(&bytes).unwrap_err();
            assert_eq!(error.cause(), cause, "{code}");
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(code) && shown.contains("cannot do live/***"), "{shown}");
            assert!(!shown.contains("S3CRETKEY") && !shown.contains("T0KENVALUE"), "{shown}");
        }
    }
    let close = command(Writer::default().text("close").number(0.0).null());
    assert_eq!(Client::playing().feed(&close).unwrap_err().cause(), DownCause::Closed);
}

#[test]
fn a_redirect_names_its_target_and_keeps_the_key() {
    let refusal = |name, id| {
        let body = Writer::default().text(name).number(id).null().begin_object();
        let body = body.key("level").text("error").key("code").text("NetConnection.Connect.Rejected");
        let body = body.key("ex").begin_object().key("code").number(302.0);
        command(body.key("redirect").text("rtmp://other.example:1936/edge").end_object().end_object())
    };
    for bytes in [
        [handshake(), refusal("_error", 1.0)].concat(),
        [handshake(), connected(), created(), refusal("onStatus", 0.0)].concat(),
    ] {
        let error = Client::new().feed(&bytes).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("S3CRETKEY"));
        let SessionError::Redirect { target } = error else { panic!("{error}") };
        assert_eq!(target.origin(), "other.example:1936");
        assert_eq!((target.app(), target.key()), ("edge", "S3CRETKEY?token=T0KENVALUE"));
    }
}

#[test]
fn the_end_and_the_return_of_a_publication() {
    let end = |code: &str| status("status", code, "");
    let complete = message(
        5,
        0,
        18,
        &info(Writer::default().text("onPlayStatus"), "status", "NetStream.Play.Complete", "").finish(),
    );
    for (bytes, code) in [
        (user_control(1, &[0, 0, 0, 1]), UnpublishCode::StreamEof),
        (end("NetStream.Play.UnpublishNotify"), UnpublishCode::UnpublishNotify),
        (end("NetStream.Play.Stop"), UnpublishCode::PlayStop),
        (complete, UnpublishCode::PlayComplete),
    ] {
        let mut client = Client::playing();
        client.feed(&[video(0, 1), bytes.clone(), end("NetStream.Play.Stop"), bytes.clone()].concat()).unwrap();
        assert_eq!(client.events(), [SessionEvent::Unpublished { code }], "once");
        client.feed(&user_control(0, &[0, 0, 0, 1])).unwrap();
        client.feed(&end("NetStream.Play.Start")).unwrap();
        client.feed(&end("NetStream.Play.PublishNotify")).unwrap();
        assert_eq!(client.events(), [SessionEvent::Published], "once");
        client.feed(&bytes).unwrap();
        assert_eq!(client.events(), [SessionEvent::Unpublished { code }]);
        // A publisher that comes back without a word, and leaves again.
        client.feed(&[video(0, 1), bytes].concat()).unwrap();
        assert_eq!(client.events(), [SessionEvent::Unpublished { code }]);
    }
}

#[test]
fn what_a_session_has_no_use_for_is_ignored() {
    let mut client = Client::playing();
    for bytes in [
        status("status", "NetStream.Play.Start", "again"),
        status("warning", "NetStream.Play.InsufficientBW", ""),
        status("error", "NetConnection.Call.Failed", ""),
        command(Writer::default().text("onBWDone").number(0.0).null()),
        command(Writer::default().text("_result").number(77.0).null()),
        command(Writer::default().text("_error").number(77.0).null()),
        user_control(26, &[]),
        user_control(33, &[1, 2, 3]),
        user_control(31, &[0, 0, 0, 1]),
        user_control(4, &[0, 0, 0, 1]),
        message(2, 0, 4, &[]),
        message(2, 0, 4, &[0]),
        message(2, 0, 3, &[0, 0, 0, 1]),
        message(2, 0, 5, &[0]),
        message(2, 0, 6, &[0]),
        message(3, 0, 20, &[]),
        message(3, 0, 17, &[0]),
        message(3, 0, 16, b"shared object"),
        message(3, 0, 99, b"unknown"),
        message(3, 0, 20, b"\x02\xff\xffbroken"),
        user_control(2, &[0, 0, 0, 1]),
    ] {
        client.feed(&bytes).unwrap();
    }
    client.feed(&video(0, 1)).unwrap();
    assert_eq!(client.events(), [SessionEvent::Published, SessionEvent::Dry]);
}

#[test]
fn a_bad_data_message_is_handed_on_and_the_next_frame_counts() {
    let deep = [b"\x02\0\x0aonMetaData".to_vec(), b"\x03\0\x01a".repeat(5000)].concat();
    let date = b"\x02\0\x0aonMetaData\x03\0\x01d\x0b\0\0\0\0\0\0\0\0\0\0\0\0\x09";
    for body in [&deep[..], &date[..], b"\x42", b"", b"\x11\x0a\x07"] {
        let mut client = Client::playing();
        client.feed(&[message(5, 0, 18, body), message(5, 0, 15, body), video(40, 5)].concat()).unwrap();
        let media = client.media();
        assert_eq!(media.len(), 3);
        assert_eq!(media[2], (40, 5, vec![0x27; 5]));
    }
}

#[test]
fn answers_in_amf3_messages_and_with_unusual_values() {
    let start =
        info(Writer::default().text("onStatus").number(0.0).null(), "status", "NetStream.Play.Start", "").finish();
    // connect's properties: a date, a long string, an AMF3 object, an ECMA array.
    let mut odd = Writer::default().text("_result").number(1.0).finish();
    odd.extend(b"\x03\0\x01d\x0b\0\0\0\0\0\0\0\0\0\0\0\x01l\x0c\0\0\0\x02hi\0\x01o\x11\x0a\x0b\x01\x03a\x04\x01\x01\0\x01e\x08\0\0\0\0\0\0\x09\0\0\x09");
    let mut client = Client::new();
    client.feed(&[handshake(), message(3, 0, 20, &odd), created()].concat()).unwrap();
    client.feed(&message(3, 0, 17, &[&[0][..], &start].concat())).unwrap();
    assert_eq!(client.events(), PHASES_DONE);
    // A connect answer whose information cannot be read is an answer all the same; a stream id that cannot be read is none.
    let cut = Writer::default().text("_result").number(1.0).begin_object().finish();
    let mut client = Client::new();
    client.feed(&[handshake(), message(3, 0, 20, &cut)].concat()).unwrap();
    assert_eq!(client.events(), PHASES_DONE[..2]);
    let none = command(Writer::default().text("_result").number(2.0).null());
    let error = client.feed(&none).unwrap_err();
    assert_eq!((error.clone(), error.cause()), (SessionError::Answer, DownCause::Protocol));
}

#[test]
fn a_server_may_answer_everything_with_transaction_zero() {
    let result = |body: Writer| command(body);
    let mut client = Client::new();
    client.feed(&handshake()).unwrap();
    client.feed(&result(Writer::default().text("_result").number(0.0).null())).unwrap();
    // The answers to a call that nobody waits for are no answers to createStream.
    client.feed(&result(Writer::default().text("_result").number(0.0).null())).unwrap();
    let failed = Writer::default().text("_error").number(0.0).null();
    client.feed(&command(info(failed, "error", "NetConnection.Call.Failed", ""))).unwrap();
    client.feed(&result(Writer::default().text("_result").number(0.0).null().number(1.0))).unwrap();
    client.feed(&status("status", "NetStream.Play.Start", "")).unwrap();
    assert_eq!(client.events(), PHASES_DONE);
    let mut client = Client::new();
    let refused =
        info(Writer::default().text("_error").number(0.0).null(), "error", "NetConnection.Connect.Rejected", "");
    let error = client.feed(&[handshake(), command(refused)].concat()).unwrap_err();
    assert_eq!(error.cause(), DownCause::Rejected);
}

#[test]
fn a_refused_connect_says_whether_another_one_may_be_accepted() {
    let refused = |code, description| {
        command(info(Writer::default().text("_error").number(1.0).null(), "error", code, description))
    };
    let mut client = Client::new();
    client.feed(&[handshake(), refused("NetConnection.Connect.Failed", "")].concat()).unwrap_err();
    let plain = client.session.next_introduction().unwrap();
    assert_ne!(plain, Introduction::default());
    assert_eq!(client.session.next_introduction(), None);
    // Closed right after connect: the same. Later ends say nothing about how we were presented.
    for (bytes, again) in [(handshake(), true), (vec![], false), ([handshake(), connected()].concat(), false)] {
        let mut client = Client::new();
        client.feed(&bytes).unwrap();
        client.session.handle_eof();
        assert_eq!(client.session.next_introduction().is_some(), again);
    }
    for code in ["NetConnection.Connect.InvalidApp", "NetConnection.Connect.AppShutdown"] {
        let mut client = Client::new();
        client.feed(&[handshake(), refused(code, "")].concat()).unwrap_err();
        assert_eq!(client.session.next_introduction(), None, "{code}");
    }
    // Credentials are asked for and the URL has none: final, and said.
    let mut client = Client::new();
    let need = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    let error = client.feed(&[handshake(), refused("NetConnection.Connect.Rejected", need)].concat()).unwrap_err();
    assert_eq!((error.cause(), client.session.next_introduction()), (DownCause::Rejected, None));
    assert!(error.to_string().contains("a user and a password, which the URL does not have"), "{error}");
}

#[test]
fn a_reconnect_request_is_told_once_and_the_session_goes_on() {
    let request = |to: Option<&str>| {
        let body = Writer::default().text("onStatus").number(0.0).null().begin_object();
        let body = body.key("level").text("status").key("code").text("NetConnection.Connect.ReconnectRequest");
        let body = if let Some(to) = to { body.key("tcUrl").text(to) } else { body };
        command(body.end_object())
    };
    for (to, place) in [
        (Some("rtmp://other.example:1936/edge"), "other.example:1936"),
        (Some("//192.0.2.1/edge"), "192.0.2.1:1935"),
        (None, "origin.example:1935"),
    ] {
        let mut client = Client::playing();
        client.feed(&[request(to), request(None)].concat()).unwrap();
        assert_eq!(client.events(), [SessionEvent::Moved]);
        let target = client.session.moved_to().unwrap();
        assert_eq!((target.origin().as_str(), target.key()), (place, "S3CRETKEY?token=T0KENVALUE"));
        client.feed(&video(0, 10)).unwrap();
        assert_eq!(client.media().len(), 1);
    }
    let mut client = Client::playing();
    client.feed(&request(Some("http://other.example/"))).unwrap();
    assert_eq!((client.events(), client.session.moved_to()), (vec![], None));
}

#[test]
fn pings_both_ways() {
    let mut client = Client::playing();
    client.feed(&user_control(6, &[1, 2, 3, 4])).unwrap();
    assert_eq!(client.sent()[0].data[..], [0, 7, 1, 2, 3, 4]);

    // The ping sent with play is outstanding.
    assert_eq!(client.session.ping_outstanding(), Some(client.start));
    client.now += Duration::from_millis(5);
    client.session.send_ping(client.now);
    assert_eq!(client.session.ping_outstanding(), Some(client.now), "the new one takes its place");
    assert_eq!(client.sent()[0].data[..], [0, 6, 0, 0, 0, 5]);
    client.now += Duration::from_millis(7);
    client.feed(&user_control(7, &[0, 0, 0, 5])).unwrap();
    assert_eq!(client.events(), [SessionEvent::Pong { rtt: Duration::from_millis(7) }]);
    assert_eq!(client.session.ping_outstanding(), None);
    client.feed(&user_control(7, &[0, 0, 0, 0])).unwrap();
    assert_eq!(client.events(), [], "nobody asked");

    client.now += Duration::from_millis(988);
    client.session.send_ping(client.now);
    assert_eq!(client.sent()[0].data[..], [0, 6, 0, 0, 3, 232]);
    assert_eq!(client.session.ping_outstanding(), Some(client.now));
}

#[test]
fn no_ping_before_connect() {
    let mut client = Client::new();
    client.session.send_ping(Instant::now());
    client.feed(&handshake()).unwrap();
    client.session.send_ping(client.now);
    assert_eq!(client.session.ping_outstanding(), None);
    assert_eq!(client.sent().len(), 1, "connect only");
}

#[test]
fn acknowledgements_tell_the_total() {
    let mut client = Client::playing();
    let before = client.session.received_bytes() - 3073;
    client.feed(&message(2, 0, 5, &20_000u32.to_be_bytes())).unwrap();
    let mut totals = Vec::new();
    for _ in 0..40 {
        client.feed(&video(0, 1000)).unwrap();
        totals.extend(client.sent().iter().map(|m| u32::from_be_bytes(m.data[..4].try_into().unwrap())));
    }
    let total = client.session.received_bytes() - 3073;
    assert!(total - before > 40_000);
    assert_eq!(totals.len(), 4, "{totals:?}");
    assert!(totals[0] >= 10_000, "since the handshake: {totals:?}");
    assert!(totals.windows(2).all(|w| (10_000..11_100).contains(&(w[1] - w[0]))), "{totals:?}");

    // No window, no acknowledgement; the smallest one does not flood.
    client.feed(&message(2, 0, 5, &0u32.to_be_bytes())).unwrap();
    client.feed(&video(0, 60_000)).unwrap();
    assert!(client.sent().is_empty());
    client.feed(&message(2, 0, 5, &1u32.to_be_bytes())).unwrap();
    for _ in 0..3000 {
        client.feed(&video(0, 10)).unwrap();
    }
    assert!(client.session.transmit().len() < 5000);
}

#[test]
fn peer_bandwidth_is_answered_with_a_window() {
    let mut client = Client::playing();
    let limit = message(2, 0, 6, &[0, 0x10, 0, 0, 2]);
    client.feed(&[limit.clone(), limit].concat()).unwrap();
    let sent = client.sent();
    assert_eq!(sent.len(), 1, "once");
    assert_eq!((sent[0].type_id, &sent[0].data[..]), (5, &[0, 0x10, 0, 0][..]));
}

#[test]
fn of_what_a_server_says_it_can_do_so_much_is_kept() {
    // In either object of the answer, among other things.
    let answer = |many: u32| {
        let body = Writer::default().text("_result").number(1.0).begin_object();
        let mut body = body.key("capsEx").number(7.0).key("fourCcList").begin_list(many + 3);
        body = (0..many).fold(body, |body, number| body.text(&format!("{number:04}")));
        body = body.text("S3CRETKEY").number(1.0).text("h\u{7}c1").end_object();
        let mut body = body.begin_object().key("code").text("NetConnection.Connect.Success");
        for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
            body = body.key(map).begin_object().key("toolong").number(1.0).key("nan").text("x");
            body = (0..many).fold(body, |body, _| body.key("hvc1").number(1e300)).key("*").number(5.0).end_object();
        }
        command(body.end_object())
    };
    for (many, kept) in [(2, 2), (500, ServerCapabilities::MOST)] {
        let mut client = Client::new();
        client.feed(&handshake()).unwrap();
        assert!(client.session.server_capabilities().is_none());
        client.feed(&answer(many)).unwrap();
        let said = client.session.server_capabilities().unwrap();
        assert_eq!((said.flags, said.codecs.len()), (Some(7), kept));
        let (code, flags) = said.video[0];
        assert_eq!((code.as_str(), flags), ("hvc1", u32::MAX));
        assert_eq!([said.video.len(), said.audio.len()], [(kept + 1).min(ServerCapabilities::MOST); 2]);
        assert!(!format!("{said:?} {said}").contains("S3CR"));
    }
    let mut silent = Client::new();
    silent.feed(&[handshake(), connected()].concat()).unwrap();
    assert!(silent.session.server_capabilities().is_none());
}

#[test]
fn neither_debug_nor_display_shows_the_key() {
    let client = Client::playing();
    let shown = format!("{:?}", client.session);
    assert!(!shown.contains("S3CRETKEY") && !shown.contains("T0KENVALUE"), "{shown}");
}
