//! Answers that are broken or made to do harm: a clear error or sane facts, in bounded memory, and never a panic.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;
use rtmp_hmonitor::model::DownCause;
use rtmp_hmonitor::model::target::ServerFlavor;
use rtmp_hmonitor::probe::rtmp_server::rates::Rates;
use rtmp_hmonitor::probe::rtmp_server::{MAX_STREAMS, Statistics, Unreadable, discoverable, mediamtx, nginx, srs};

use crate::Watch;
use crate::fake::{Fake, Reply};

/// Of the page that nginx writes, with a key that must not show.
const PAGE: &str = "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\r\n<?xml-stylesheet type=\"text/xsl\" href=\"/stat.xsl\" ?>\r\n\
<rtmp>\r\n<nginx_version>1.26.2</nginx_version>\r\n<nginx_rtmp_version>1.1.4</nginx_rtmp_version>\r\n<pid>7</pid>\r\n\
<uptime>3600</uptime>\r\n<bytes_in>740000000</bytes_in>\r\n<bytes_out>0</bytes_out>\r\n<server>\r\n<application>\r\n\
<name>live</name>\r\n<live>\r\n<stream>\r\n<name>s3cret&amp;&lt;1&gt;</name>\r\n<time>905000</time><bw_in>6123456</bw_in>\r\n\
<bytes_in>690000000</bytes_in>\r\n<client><id>12</id><address>192.0.2.5</address><time>905120</time>\
<flashver>FMLE/3.0 (compatible; FMSc/1.0)</flashver><dropped>0</dropped><avsync>-12</avsync><timestamp>904800</timestamp>\
<publishing/><active/></client>\r\n<client><id>13</id><time>5</time></client><meta><video><width>1920</width>\
<height>1080</height><frame_rate>29</frame_rate><codec>H264</codec><profile>Baseline</profile><compat>192</compat>\
<level>4.1</level></video><audio><codec>AAC</codec><profile>HEv2</profile><channels>2</channels>\
<sample_rate>48000</sample_rate></audio></meta>\r\n<nclients>2</nclients>\r\n<publishing/>\r\n<active/></stream>\r\n\
<nclients>2</nclients></live></application>\r\n</server>\r\n</rtmp>\r\n";

const STREAMS: &str = r#"{"code":0,"service":"x1y2z3","pid":"1","streams":[{"id":"vid-4d5e6f7","name":"s3cret","vhost":"vid-8g9h0i1",
"app":"live","clients":1,"frames":27120,"recv_bytes":690000000,"publish":{"active":true,"cid":"a1b2c3d4"},"video":{"codec":"H264",
"profile":"High","level":"4","width":1920,"height":1080},"audio":{"codec":"AAC","sample_rate":22050,"channel":1,"profile":"LC"}}]}"#;

const CLIENTS: &str = r#"{"code":0,"clients":[{"id":"a1b2c3d4","alive":5.5,"publish":true,"url":"/live/s3cret"}]}"#;

const SUMMARY: &str = r#"{"code":0,"data":{"self":{"version":"5.0","srs_uptime":7},"system":{"srs_recv_bytes":1}}}"#;

const PATHS: &str = r#"{"itemCount":1,"pageCount":1,"items":[{"name":"live/s3cret","ready":true,"readyTime":"2026-01-04T09:00:03Z",
"online":true,"onlineTime":"2026-01-04T09:00:03Z","source":{"type":"rtmpConn","id":"9a07"},"tracks":["H264"],"tracks2":[{"codec":"H264",
"codecProps":{"width":1920,"height":1080,"profile":"High","level":"4"}}],"readers":[{"type":"x"}],"inboundBytes":69,"bytesReceived":69}]}"#;

const INFO: &str = r#"{"version":"v1.20.1","started":"2026-01-04T08:00:03Z"}"#;

fn now() -> Timestamp {
    "2026-01-04T10:00:03Z".parse().unwrap()
}

/// Reads the bytes as every kind of answer, as the monitor would.
fn read(bytes: &[u8]) -> Vec<Result<Statistics, Unreadable>> {
    let text = &*String::from_utf8_lossy(bytes);
    let read = vec![
        nginx::statistics(text),
        srs::streams(text).map(|(statistics, _)| statistics),
        srs::publishers(text).map(|_| Statistics::default()),
        srs::summary(text),
        mediamtx::paths(text, now()).map(|page| page.statistics),
        mediamtx::info(text, now()),
    ];
    for statistics in read.iter().flatten() {
        assert!(statistics.streams.len() <= MAX_STREAMS);
    }
    for error in read.iter().filter_map(|read| read.as_ref().err()) {
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    read
}

#[test]
fn the_sound_page_reads_so_that_faults_are_those_of_the_mutations() {
    let found = nginx::statistics(PAGE).unwrap();
    let [reading] = &found.streams[..] else { panic!("{found:?}") };
    let (stream, video) = (&reading.stream, reading.stream.video.as_ref().unwrap());
    assert_eq!((&*stream.key, stream.publisher.as_deref(), stream.players), ("s3cret&<1>", Some("12"), Some(1)));
    assert_eq!(stream.published_for, Some(Duration::from_millis(905_120)));
    assert_eq!((&*video.profile, &*video.level), ("constrained baseline", "4.1"));
    assert_eq!(&*stream.audio.as_ref().unwrap().profile, "he-aacv2");
    for (index, text) in [PAGE, STREAMS, CLIENTS, SUMMARY, PATHS, INFO].into_iter().enumerate() {
        assert!(read(text.as_bytes())[index].is_ok(), "{text}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    for (index, text) in [PAGE, STREAMS, CLIENTS, SUMMARY, PATHS, INFO].into_iter().enumerate() {
        for end in 0..text.trim_end().len() {
            assert!(read(&text.as_bytes()[..end])[index].is_err(), "{}", &text[..end]);
        }
    }
}

#[test]
fn codecs_that_nginx_cannot_name_and_numbers_that_are_none() {
    for (from, to) in [("H264", "Jpeg"), ("<codec>H264</codec>", ""), ("AAC", "Speex")] {
        let page = PAGE.replace(from, to);
        let found = nginx::statistics(&page).unwrap();
        let stream = &found.streams[0].stream;
        assert!(stream.video.is_none() || stream.audio.is_none(), "{to}");
    }
    let page =
        PAGE.replace("690000000", "-1").replace("905120", "99999999999999999999999").replace("1920", "4294967296");
    let page =
        page.replace("<nclients>2", "<nclients>1e3").replace(">29<", ">NaN<").replace("<uptime>3600", "<uptime>x");
    let found = nginx::statistics(&page).unwrap();
    let stream = &found.streams[0].stream;
    assert_eq!((stream.bytes_in, stream.published_for, stream.players), (None, None, None));
    assert_eq!((stream.video.as_ref().unwrap().width, stream.declared_frames_per_second), (None, None));
    assert_eq!(found.uptime, None);
}

#[test]
fn documents_that_are_made_to_do_harm() {
    let deep = format!("<rtmp>{}", "<a>".repeat(1 << 20));
    assert!(matches!(nginx::statistics(&deep), Err(Unreadable::Depth(_))));
    let laughs = "<?xml version=\"1.0\"?><!DOCTYPE rtmp [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]><rtmp><pid>&b;</pid></rtmp>";
    assert!(matches!(nginx::statistics(laughs), Err(Unreadable::Foreign(_))));
    assert!(matches!(nginx::statistics("<rtmp><pid>&b;</pid></rtmp>"), Err(Unreadable::Xml(_))));
    assert!(matches!(nginx::statistics("<rtmp><pid></rtmp></pid>"), Err(Unreadable::Xml(_))));
    assert!(matches!(nginx::statistics("<!DOCTYPE html><html>It works!</html>"), Err(Unreadable::Foreign(_))));
    assert!(matches!(nginx::statistics(""), Err(Unreadable::Foreign(_))));

    let nested = |text: &str| format!("{{\"code\":0,\"pageCount\":1,{text}}}");
    let (open, close) = ("[".repeat(1 << 20), "]".repeat(1 << 20));
    assert_eq!(srs::streams(&nested(&format!("\"streams\":{open}{close}"))).unwrap().0.streams.len(), 0);
    assert_eq!(
        mediamtx::paths(&nested(&format!("\"items\":{open}{close}")), now()).unwrap().statistics.streams.len(),
        0
    );

    // A name that no URL can hold, and one that is not text.
    let page = PAGE.replace("s3cret", &"x".repeat(1 << 20));
    let found = nginx::statistics(&page).unwrap();
    assert_eq!((found.streams.len(), found.truncated), (0, true));
    let page = PAGE.replace("s3cret", "caf\u{e9}").into_bytes();
    let latin: Vec<u8> = page.split(|b| *b == 0xc3).collect::<Vec<_>>().join(&0xff_u8);
    let found = read(&latin).remove(0).unwrap();
    assert_eq!((&*found.streams[0].stream.app, found.streams[0].stream.publishing), ("live", true));
}

#[test]
fn more_streams_than_are_kept() {
    let stream = "<stream><name>x</name><nclients>1</nclients></stream>";
    let page =
        format!("<rtmp><server><application><live>{}</live></application></server></rtmp>", stream.repeat(25_000));
    let found = nginx::statistics(&page).unwrap();
    assert_eq!((found.streams.len(), found.truncated, found.clients), (MAX_STREAMS, true, 25_000));
    let items = vec!["{\"name\":\"a\"}"; 25_000].join(",");
    let found = srs::streams(&format!("{{\"code\":0,\"streams\":[{items}]}}")).unwrap().0;
    assert_eq!((found.streams.len(), found.truncated), (MAX_STREAMS, true));
}

#[test]
fn a_name_that_the_page_says_once_is_not_copied_for_every_stream() {
    let page = |name: &str, filling: &str| {
        let streams = "<stream/>".repeat(400_000);
        format!(
            "<rtmp><server><application><name>{name}</name><x>{filling}</x><live>{streams}</live></application></server></rtmp>"
        )
    };
    let long = "a".repeat(4 << 20);
    let (plain, hostile) = (page("live", &long), page(&long, ""));
    let read = |page: &str| {
        let begun = Instant::now();
        let found = nginx::statistics(page).unwrap();
        (found.streams.len(), found.truncated, begun.elapsed())
    };
    let (kept, _, usual) = read(&plain);
    assert_eq!(kept, MAX_STREAMS);
    let (kept, truncated, taken) = read(&hostile);
    assert_eq!((kept, truncated), (0, true));
    // Copied each time, it is a thousand times the work.
    assert!(taken < usual * 20, "{taken:?}, and {usual:?} for a page of the same size");
}

#[test]
fn a_name_is_too_long_wherever_its_characters_end() {
    for (character, fits) in [("a", 2048), ("\u{e9}", 1024), ("\u{20ac}", 682), ("\u{1f600}", 512)] {
        for (length, kept) in [(fits, 1), (fits + 1, 0), (9000, 0)] {
            let found = nginx::statistics(&PAGE.replace("s3cret&amp;&lt;1&gt;", &character.repeat(length))).unwrap();
            assert_eq!((found.streams.len(), found.truncated), (kept, kept == 0), "{length} of {character}");
        }
    }
}

#[test]
fn names_that_no_url_can_say_are_not_discovered() {
    let page = PAGE.replace("s3cret&amp;&lt;1&gt;", "a&#10;b");
    let statistics = nginx::statistics(&page).unwrap();
    let (facts, _) = statistics.settle(ServerFlavor::NginxRtmp, Instant::now(), &Rates::default());
    assert_eq!((facts.streams.len(), discoverable(&facts).count()), (1, 0));
}

#[test]
fn a_hundred_megabytes_are_not_read() {
    for flavor in ServerFlavor::ALL {
        let fake = Fake::start(|_| Reply::Flood(100 << 20));
        let (cause, detail) = Watch::new(*flavor, &fake.url()).fault();
        assert_eq!((cause, &*detail), (DownCause::Protocol, "the answer is larger than 16777216 bytes"));
    }
}

#[test]
fn large_answers_are_read_like_small_ones() {
    let stream = |n: usize| format!("<stream><name>{n}</name><bytes_in>{n}</bytes_in><publishing/></stream>");
    let streams: String = (0..20_000).map(stream).collect();
    let page =
        format!("<rtmp><server><application><name>live</name><live>{streams}</live></application></server></rtmp>");
    let fake = Fake::start(move |_| Reply::Json(page.clone()));
    let mut watch = Watch::new(ServerFlavor::NginxRtmp, &fake.url());
    let begun = Instant::now();
    let facts = watch.look();
    println!("a look at 20,000 streams: {:?}", begun.elapsed());
    assert_eq!((facts.streams.len(), facts.truncated), (20_000, false));
    assert_eq!(facts.streams[19_999].bytes_in, Some(9999), "sorted by name");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes);
    }

    /// Pieces are cut out, doubled, and replaced by what trips parsers.
    #[test]
    fn mutations(
        which in 0_usize..6,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..40, 0_usize..16), 1..6),
    ) {
        const PIECES: [&[u8]; 16] = [
            b"", b"<", b"</stream>", b"<stream>", b"&", b"&amp;", b"&#0;", b"<![CDATA[x]]>", b"<!--", b"\"", b"}", b"[", b"-1",
            b"1e400", b"\xff\xfe", b"null",
        ];
        let mut bytes = [PAGE, STREAMS, CLIENTS, SUMMARY, PATHS, INFO][which].as_bytes().to_vec();
        for (at, length, piece) in cuts {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, PIECES[piece].iter().copied());
        }
        for statistics in read(&bytes).into_iter().flatten() {
            let (facts, _) = statistics.settle(ServerFlavor::NginxRtmp, Instant::now(), &Rates::default());
            prop_assert!(facts.streams.iter().all(|s| s.bytes_per_second.is_none()), "one look tells no rate");
        }
    }
}
