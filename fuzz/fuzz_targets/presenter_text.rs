#![no_main]
//! Any bytes from a device's text port, in any pieces: read to the end or to an error, and the pieces make no difference. The first
//! byte chooses the size of the pieces, and whether the preamble has been read before.

use libfuzzer_sys::fuzz_target;
use rtmp_hmonitor::probe::web_presenter::text::{TextError, TextProtocol};

fn read(pieces: impl Iterator<Item = impl AsRef<[u8]>>, greeted: bool) -> (TextProtocol, Option<TextError>) {
    let mut protocol = TextProtocol::default();
    if greeted {
        protocol.feed(b"PROTOCOL PREAMBLE:\nVersion: 1.2\n\n").expect("a good preamble");
    }
    for piece in pieces {
        if let Err(error) = protocol.feed(piece.as_ref()) {
            return (protocol, Some(error));
        }
    }
    (protocol, None)
}

fuzz_target!(|data: &[u8]| {
    let [first, data @ ..] = data else { return };
    let (size, greeted) = (usize::from(first >> 1) + 1, first & 1 == 1);
    let (whole, error) = read(std::iter::once(data), greeted);
    let (split, split_error) = read(data.chunks(size), greeted);
    assert_eq!(error, split_error);
    assert_eq!(whole.state(), split.state());
    assert_eq!(whole.counts(), split.counts());
    let state = whole.state();
    assert!(state.cache.is_none_or(|share| (0.0..=1.0).contains(&share)));
    for text in [&state.model, &state.software, &state.platform, &state.quality, &state.video_mode, &state.status] {
        assert!(text.as_ref().is_none_or(|text| !text.is_empty() && text.len() <= 512 && !text.contains('\n')));
    }
});
