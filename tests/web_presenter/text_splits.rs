//! How the network cuts the text protocol into pieces makes no difference.

use proptest::collection::vec;
use proptest::prelude::*;
use rtmp_hmonitor::probe::web_presenter::text::{TextCounts, TextError, TextProtocol, TextState};

use super::device::{PRELUDE, PRELUDE_1_0};

type Told = (TextState, TextCounts, Option<TextError>);

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Told {
    let mut protocol = TextProtocol::default();
    let error = pieces.into_iter().find_map(|piece| protocol.feed(piece).err());
    (protocol.state().clone(), protocol.counts(), error)
}

/// Lines such as a device sends, and such as it should not.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("STREAM STATE:".to_owned()),
        Just("STREAM SETTINGS:".to_owned()),
        Just("END PRELUDE:".to_owned()),
        Just("ACK".to_owned()),
        Just("NACK".to_owned()),
        Just(String::new()),
        Just(String::new()),
        "Status: [A-Z][a-z]{0,8} ?\r?",
        "Bitrate: [0-9]{0,12}",
        "Duration: [0-9]{2}:[0-9]{2}:[0-9]{2}:[0-9]{2}",
        "Cache Used: [0-9.%]{0,4}",
        "Current Platform: .{0,20}",
        ".{0,40}",
    ]
}

fn pieces<'a>(text: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|w| &text[w[0]..w[1]]).collect()
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        lines in vec(line(), 0..60),
        noise in vec(any::<u8>(), 0..20),
        cuts in vec(any::<prop::sample::Index>(), 0..30),
        prelude in prop_oneof![Just(PRELUDE), Just(PRELUDE_1_0), Just("")],
    ) {
        let text = [prelude.as_bytes(), lines.join("\n").as_bytes(), &noise].concat();
        prop_assert_eq!(read(pieces(&text, &cuts)), read([text.as_slice()]));
        prop_assert_eq!(read(text.chunks(1)), read([text.as_slice()]));
    }
}

#[test]
fn both_preludes_read_to_their_end() {
    for (prelude, software) in [(PRELUDE, "3.5"), (PRELUDE_1_0, "2.1.1")] {
        for text in [prelude.to_owned(), prelude.replace('\n', "\r\n")] {
            let (state, counts, error) = read(text.as_bytes().chunks(7));
            assert_eq!((error, counts.prelude_over, state.software.as_deref()), (None, true, Some(software)));
            assert_eq!(state.status.as_deref(), Some("Idle"));
        }
    }
}
