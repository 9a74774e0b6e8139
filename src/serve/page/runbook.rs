//! `/runbook`: what to do when an alert comes. Alerts link here, so it is within the binary and needs nothing from elsewhere.

use std::fmt::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use http::HeaderMap;

use super::plain::Escaped;
use super::{HTML, Prepared, protect};
use crate::serve::reply::Reply;

/// Headings, paragraphs, numbered lists and `code`: that is all that is made of it.
const TEXT: &str = include_str!("../../../alerts/RUNBOOK.md");

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Runbook · rtmp-hmonitor</title>
<link rel="icon" href="/page/icon-up.svg">
<link rel="stylesheet" href="/page/plain.css">
</head>
<body class="prose">
<p><a href="/">The streams</a></p>
"#;

/// Answers with the runbook: no token is asked for, as it is the same everywhere.
pub fn runbook(asked: &HeaderMap) -> Reply {
    static PREPARED: LazyLock<Prepared> = LazyLock::new(|| Prepared::new("", HTML, Bytes::from(html(TEXT))));
    let mut reply = PREPARED.reply(asked);
    protect(reply.headers_mut());
    reply
}

/// What is open while lines are read.
#[derive(Clone, Copy, PartialEq)]
enum Block {
    None,
    Paragraph,
    Item,
}

fn html(text: &str) -> String {
    let mut out = String::from(HEAD);
    let mut open = Block::None;
    for line in text.lines() {
        let heading = line.bytes().take_while(|b| *b == b'#').count();
        let item = line.split_once(". ").filter(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let (next, said) = match (line.is_empty() || heading > 0, item, open) {
            (true, ..) => (Block::None, line.trim_start_matches('#').trim()),
            (_, Some((_, said)), _) => (Block::Item, said),
            (_, None, Block::Item) if line.starts_with(' ') => (Block::Item, line.trim()),
            _ => (Block::Paragraph, line),
        };
        let begins = next != open || item.is_some();
        if begins {
            out.push_str(match open {
                Block::None => "",
                Block::Paragraph => "</p>\n",
                Block::Item if next == Block::Item => "</li>\n",
                Block::Item => "</li></ol>\n",
            });
            out.push_str(match next {
                Block::None => "",
                Block::Paragraph => "<p>",
                Block::Item if open == Block::Item => "<li>",
                Block::Item => "<ol><li>",
            });
        } else if next != Block::None {
            out.push('\n');
        }
        if heading > 0 {
            // Writing into a String cannot fail.
            let _ = write!(out, "<h{heading} id=\"{}\">", Escaped(&said.to_lowercase().replace(' ', "-")));
            inline(&mut out, said);
            let _ = writeln!(out, "</h{heading}>");
        } else {
            inline(&mut out, said);
        }
        open = next;
    }
    out.push_str(match open {
        Block::None => "",
        Block::Paragraph => "</p>\n",
        Block::Item => "</li></ol>\n",
    });
    out.push_str("</body>\n</html>\n");
    out
}

/// Text with `code` in it.
fn inline(out: &mut String, text: &str) {
    for (index, part) in text.split('`').enumerate() {
        let _ = match index % 2 {
            0 => write!(out, "{}", Escaped(part)),
            _ => write!(out, "<code>{}</code>", Escaped(part)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_paragraphs_lists_and_code() {
        let text = "# All\n\nOne `a<b`\nand two.\n\n### HmonitorOne\nWhy:\n1. First,\n   go on.\n2. Second.\n\nEnd.";
        let html = html(text);
        let (_, body) = html.split_once("<p><a href=\"/\">The streams</a></p>\n").unwrap();
        let expected = "<h1 id=\"all\">All</h1>\n<p>One <code>a&lt;b</code>\nand two.</p>\n\
            <h3 id=\"hmonitorone\">HmonitorOne</h3>\n<p>Why:</p>\n<ol><li>First,\ngo on.</li>\n<li>Second.</li></ol>\n\
            <p>End.</p>\n</body>\n</html>\n";
        assert_eq!(body, expected);
    }
}
