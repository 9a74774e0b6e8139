//! On-air windows: `mon-fri 06:00-22:00`, `sat,sun 08:00-12:00`, `daily 22:00-02:00`, in a time zone.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::node::{Kind, Node};
use super::reader::Reader;
use crate::model::spec::{LocalTime, Schedule};

const DAY: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A zone of the time zone database.
#[derive(Debug)]
struct Zone {
    name: String,
    zone: TimeZone,
}

impl LocalTime for Zone {
    fn name(&self) -> &str {
        &self.name
    }

    fn minute_of_week(&self, unix_seconds: i64) -> u16 {
        let moment = Timestamp::from_second(unix_seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone());
        let field = |n: i8| u16::try_from(n).unwrap_or(0);
        field(moment.weekday().to_monday_zero_offset()) * DAY + field(moment.hour()) * 60 + field(moment.minute())
    }
}

/// The schedule of a stream; `None` where it is always on air.
pub(super) fn schedule(reader: &mut Reader<'_>, node: &Node) -> Option<Schedule> {
    let node = node.get("schedule").filter(|n| matches!(n.kind, Kind::Table(_)))?;
    let mut windows = Vec::new();
    for item in node.items("on_air") {
        let Some(text) = item.plain() else { continue };
        match parse_windows(&text) {
            Some(parsed) => windows.extend(parsed),
            None => reader.error(
                &item.place,
                "expected days and times such as mon-fri 06:00-22:00, sat,sun 08:00-12:00 or daily 22:00-02:00",
            ),
        }
    }
    if let Some(Node { kind: Kind::List(items), place }) = node.get("on_air")
        && items.is_empty()
    {
        reader.error(place, "a schedule needs at least one window");
    }
    let name = node.text("zone").unwrap_or_else(|| "UTC".to_owned());
    let zone = match TimeZone::get(name.trim()) {
        Ok(zone) => zone,
        Err(_) => {
            let place = node.get("zone").map_or(&node.place, |n| &n.place);
            reader.error(place, "unknown time zone; expected a name such as Europe/Berlin or UTC");
            TimeZone::UTC
        }
    };
    Some(Schedule { windows, zone: Arc::new(Zone { name, zone }) })
}

/// Minute-of-week intervals of one text.
fn parse_windows(text: &str) -> Option<Vec<(u16, u16)>> {
    let (days, times) = text.trim().split_once(' ')?;
    let (from, to) = times.trim().split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    // 24:00 is an end only; equal times are a window of no length or a whole day, so they are refused.
    if from == DAY || from == to {
        return None;
    }
    let length = if from < to { to - from } else { to + DAY - from };
    let mut windows = Vec::new();
    for day in parse_days(days)? {
        let start = day * DAY + from;
        windows.push((start, (start + length) % Schedule::WEEK));
    }
    Some(windows)
}

fn parse_days(text: &str) -> Option<Vec<u16>> {
    let text = text.to_ascii_lowercase();
    if text == "daily" {
        return Some((0..7).collect());
    }
    let day = |name: &str| DAYS.iter().position(|d| *d == name);
    let mut days = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            // sat-mon runs over the end of the week.
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                days.extend((0..=(last + 7 - first) % 7).filter_map(|n| u16::try_from((first + n) % 7).ok()));
            }
            None => days.push(u16::try_from(day(part)?).ok()?),
        }
    }
    Some(days)
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number =
        |t: &str| if t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()) { t.parse::<u16>().ok() } else { None };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_the_week() {
        let hour = |day: u16, h: u16| day * DAY + h * 60;
        assert_eq!(parse_windows("tue 06:00-22:00").unwrap(), [(hour(1, 6), hour(1, 22))]);
        assert_eq!(
            parse_windows("fri-sat 22:00-02:00").unwrap(),
            [(hour(4, 22), hour(5, 2)), (hour(5, 22), hour(6, 2))]
        );
        assert_eq!(parse_windows("sun 22:00-02:00").unwrap(), [(hour(6, 22), hour(0, 2))]);
        assert_eq!(parse_windows("sun 00:00-24:00").unwrap(), [(hour(6, 0), 0)]);
        assert_eq!(parse_windows("sun-mon,wed 10:00-11:00").unwrap().len(), 3);
        assert_eq!(parse_windows("daily 10:00-11:00").unwrap().len(), 7);
        for bad in [
            "mon",
            "mon 6:00-7:00",
            "mon 06:00",
            "day 06:00-07:00",
            "mon 06:60-07:00",
            "mon 25:00-26:00",
            "mon 06:00-06:00",
            "",
        ] {
            assert_eq!(parse_windows(bad), None, "{bad}");
        }
    }

    #[test]
    fn local_time_follows_the_zone_and_its_summer() {
        let zone = Zone { name: "Europe/Berlin".into(), zone: TimeZone::get("Europe/Berlin").unwrap() };
        // 2026-01-05 and 2026-07-06 are Mondays; 12:00 UTC.
        assert_eq!(zone.minute_of_week(1_767_614_400), 13 * 60);
        assert_eq!(zone.minute_of_week(1_783_339_200), 14 * 60);
    }
}
