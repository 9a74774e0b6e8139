//! The REST interface ("Blackmagic Streaming REST API"). It can ask for what [`Resource`] lists, with `GET`, and for nothing else.
//!
//! The answers hold secrets (`key`, `url`, `passphrase`, `credentials`): the types that they are read into have no place for them.

use std::fmt;
use std::time::{Duration, Instant};

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::profile::{self, Config};
use super::reading::{Reading, Surroundings, bits_per_second, number, seconds, share, word};
use crate::model::DownCause;
use crate::model::address::WebUrl;
use crate::model::target::WebPresenterCheck;
use crate::probe::ProbeEnvironment;
use crate::probe::check::{Look, LookError};
use crate::probe::web::WebClient;

/// Largest answer. That about a platform is the largest: some kilobytes for each profile.
const MAX_ANSWER: usize = 256 * 1024;
/// What changes seldom is asked for again after this,
const REFRESH: Duration = Duration::from_secs(60);
/// or sooner where the last time has not told all.
const REFRESH_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// Lines of a profile that are kept.
const MAX_CONFIGS: usize = 256;

/// All that can be asked for.
#[derive(Debug, Clone, Copy)]
enum Resource<'a> {
    Livestream,
    Product,
    ActivePlatform,
    Platform(&'a str),
}

impl Resource<'_> {
    fn path(self) -> String {
        match self {
            Self::Livestream => "/control/api/v1/livestreams/0".to_owned(),
            Self::Product => "/control/api/v1/system/product".to_owned(),
            Self::ActivePlatform => "/control/api/v1/livestreams/0/activePlatform".to_owned(),
            Self::Platform(name) => {
                format!("/control/api/v1/livestreams/platforms/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
            }
        }
    }

    /// For people.
    const fn what(self) -> &'static str {
        match self {
            Self::Livestream => "livestream",
            Self::Product => "product",
            Self::ActivePlatform => "active platform",
            Self::Platform(_) => "platform",
        }
    }
}

/// The interface of one device.
#[derive(Debug)]
pub(super) struct RestInterface {
    client: WebClient,
    base: WebUrl,
    aside: Aside,
    /// Status at which `aside` was asked for, and when to ask again.
    asked: Option<(Box<str>, Instant)>,
}

/// What changes seldom.
#[derive(Debug, Default)]
struct Aside {
    surroundings: Surroundings,
    /// Of the active profile.
    configs: Vec<Config>,
}

impl RestInterface {
    pub async fn new(env: &ProbeEnvironment, check: &WebPresenterCheck) -> Result<Self, LookError> {
        let client = WebClient::new(env, &check.tls).await?;
        Ok(Self { client, base: check.rest.clone(), aside: Aside::default(), asked: None })
    }

    /// How the livestream stands.
    pub async fn livestream(&self, look: &mut Look<'_>) -> Result<Reading, LookError> {
        let (status, body) = self.get(look, Resource::Livestream).await?;
        match status {
            StatusCode::OK => parse::<Livestream>(Resource::Livestream, &body)?.reading(),
            StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED => {
                let detail = format!("the device has no livestream interface ({})", status.as_u16());
                Err(LookError::fault(DownCause::NotFound, detail))
            }
            other => Err(unexpected(Resource::Livestream, other)),
        }
    }

    /// Asks for what changes seldom when that is due. It may fail and take half of the time that is left, and the look is none the
    /// worse for it: then it is absent.
    pub async fn refresh(&mut self, look: &Look<'_>, status: &str) {
        let now = look.env.clock.now();
        if self.asked.as_ref().is_some_and(|(then, again)| **then == *status && now < *again) {
            return;
        }
        let until = now + look.deadline.saturating_duration_since(now) / 2;
        // The look's phases are those of the request that counts.
        let mut look = Look::new(look.env, until);
        let env = look.env;
        let mut told = Aside::default();
        let whole = tokio::select! {
            biased;
            whole = self.ask_aside(&mut look, &mut told) => whole,
            () = env.sleep_until(until) => false,
        };
        self.aside = told;
        self.asked = Some((status.into(), now + if whole { REFRESH } else { REFRESH_AFTER_FAILURE }));
    }

    /// `false`: something that is there could not be had.
    async fn ask_aside(&self, look: &mut Look<'_>, told: &mut Aside) -> bool {
        let product = self.optional::<Product>(look, Resource::Product).await;
        if let Ok(Some(product)) = &product {
            told.surroundings.model = product.product_name.as_deref().and_then(word);
            told.surroundings.software = product.software_version.as_deref().and_then(word);
        }
        let active = self.optional::<ActivePlatform>(look, Resource::ActivePlatform).await;
        let Ok(Some(active)) = active else { return product.is_ok() && active.is_ok() };
        told.surroundings.platform = word(&active.platform);
        told.surroundings.quality = word(&active.quality);
        // A URL library would take these two for directions.
        if matches!(active.platform.as_str(), "." | ".." | "") {
            return product.is_ok();
        }
        let platform = self.optional::<Platform>(look, Resource::Platform(&active.platform)).await;
        if let Ok(Some(platform)) = &platform {
            told.configs = platform.configs(&active.quality);
        }
        product.is_ok() && platform.is_ok()
    }

    pub fn surroundings(&self) -> Surroundings {
        self.aside.surroundings.clone()
    }

    /// Bits per second that the active profile aims at in `format`.
    pub fn target_bitrate(&self, format: &str) -> Option<u64> {
        profile::target_bitrate(&self.aside.configs, format)
    }

    async fn get(&self, look: &mut Look<'_>, resource: Resource<'_>) -> Result<(StatusCode, Vec<u8>), LookError> {
        let request = self.client.get(&self.base.with_path(&resource.path()));
        let answer = self.client.send(look, request, MAX_ANSWER).await?;
        Ok((answer.status, answer.body))
    }

    /// `None`: this device has no such thing (404, 501), or not by this name (400).
    async fn optional<T: DeserializeOwned>(
        &self,
        look: &mut Look<'_>,
        resource: Resource<'_>,
    ) -> Result<Option<T>, LookError> {
        let told = match self.get(look, resource).await {
            Ok((StatusCode::OK, body)) => parse(resource, &body).map(Some),
            Ok((StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED | StatusCode::BAD_REQUEST, _)) => Ok(None),
            Ok((other, _)) => Err(unexpected(resource, other)),
            Err(error) => Err(error),
        };
        if let Err(LookError::Fault { detail, .. } | LookError::Blind { detail, .. }) = &told {
            tracing::debug!(device = %self.base, %detail, "the {} could not be read", resource.what());
        }
        told
    }
}

fn unexpected(resource: Resource<'_>, status: StatusCode) -> LookError {
    let status = status.as_u16();
    LookError::fault(DownCause::Status, format!("asked for the {}, the device answers {status}", resource.what()))
}

/// Errors say which field is wrong, and never quote it.
fn parse<T: DeserializeOwned>(resource: Resource<'_>, body: &[u8]) -> Result<T, LookError> {
    let what = resource.what();
    // The library would fill a type's fields from a list as well, by position.
    if body.trim_ascii_start().first().is_some_and(|first| *first == b'[') {
        return Err(LookError::fault(DownCause::Protocol, format!("the answer about the {what} is a list")));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let detail = match error.inner().classify() {
            Category::Eof => format!("the answer about the {what} is cut short"),
            Category::Data => match missing(error.inner()) {
                Some(field) => format!("the answer about the {what} lacks {field}"),
                None => format!("in the answer about the {what}, {} is of a wrong type", error.path()),
            },
            Category::Syntax | Category::Io => format!("the answer about the {what} is not JSON"),
        };
        LookError::fault(DownCause::Protocol, detail)
    })
}

/// The field that is missing. Only then does the library's message hold nothing of the answer.
fn missing(error: &serde_json::Error) -> Option<String> {
    let told = error.to_string();
    told.strip_prefix("missing field `")?.split('`').next().map(str::to_owned)
}

/// A number, or a text that holds one.
#[derive(Debug, Clone, Copy)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Number, E> {
                number(value).map(Number).ok_or_else(|| E::custom("not a number"))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Livestream {
    status: String,
    bitrate: Option<Number>,
    effective_video_format: Option<String>,
    /// Seconds.
    duration: Option<Number>,
    /// Percent.
    cache: Option<Number>,
}

impl Livestream {
    fn reading(self) -> Result<Reading, LookError> {
        let Some(status) = word(&self.status) else {
            return Err(LookError::fault(DownCause::Protocol, "the device's status is empty"));
        };
        Ok(Reading {
            status,
            bitrate: self.bitrate.and_then(|n| bits_per_second(n.0)),
            cache: self.cache.and_then(|n| share(n.0)),
            duration: self.duration.and_then(|n| seconds(n.0)),
            format: self.effective_video_format.as_deref().and_then(word),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    product_name: Option<String>,
    software_version: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ActivePlatform {
    platform: String,
    quality: String,
}

#[derive(Debug, Deserialize)]
struct Platform {
    profiles: Vec<Profile>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    profile: String,
    configs: Vec<ProfileConfig>,
}

#[derive(Debug, Deserialize)]
struct ProfileConfig {
    resolution: String,
    fps: TextOrNumber,
    bitrate: Number,
}

/// Documented as text, and written like a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Number(f64),
}

impl Platform {
    fn configs(&self, quality: &str) -> Vec<Config> {
        let configs = self.profiles.iter().filter(|p| p.profile == quality).flat_map(|p| &p.configs);
        let kept = configs.filter_map(|config| {
            let rate = match &config.fps {
                TextOrNumber::Text(text) => word(text)?,
                TextOrNumber::Number(number) => number.to_string().into(),
            };
            Some(Config { resolution: word(&config.resolution)?, rate, bitrate: bits_per_second(config.bitrate.0)? })
        });
        kept.take(MAX_CONFIGS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_these_paths_can_be_asked_for() {
        let root = "/control/api/v1";
        assert_eq!(Resource::Livestream.path(), format!("{root}/livestreams/0"));
        assert_eq!(Resource::ActivePlatform.path(), format!("{root}/livestreams/0/activePlatform"));
        assert_eq!(Resource::Product.path(), format!("{root}/system/product"));
        let name = "X (Twitter)/../../0/start?a#b\r\n";
        let wanted =
            format!("{root}/livestreams/platforms/X%20%28Twitter%29%2F%2E%2E%2F%2E%2E%2F0%2Fstart%3Fa%23b%0D%0A");
        assert_eq!(Resource::Platform(name).path(), wanted);
    }

    #[test]
    fn errors_name_the_field_and_quote_nothing() {
        let told = |body: &str| match parse::<Livestream>(Resource::Livestream, body.as_bytes()) {
            Err(LookError::Fault { cause: DownCause::Protocol, detail }) => detail,
            other => panic!("{other:?}"),
        };
        let mut details = Vec::new();
        for (body, wanted) in [
            (r#"{"status":"Idle","bitrate":"s3cret"}"#, "bitrate is of a wrong type"),
            (r#"{"status":{"s3cret":1},"bitrate":1}"#, "status is of a wrong type"),
            (r#"{"bitrate":1,"s3cret":1}"#, "lacks status"),
            (r#"{"status":"s3cret","#, "cut short"),
            ("s3cret", "not JSON"),
            (r#"["s3cret", 1]"#, "is a list"),
        ] {
            let detail = told(body);
            assert!(detail.contains(wanted), "{body}: {detail}");
            details.push(detail);
        }
        assert!(!details.concat().contains("s3cret"), "{details:?}");
    }

    #[test]
    fn numbers_come_in_every_dress() {
        let body = r#"{"status":"Streaming","bitrate":"6012345","duration":754.9,"cache":null}"#;
        let reading = parse::<Livestream>(Resource::Livestream, body.as_bytes()).unwrap().reading().unwrap();
        assert_eq!((reading.bitrate, reading.cache, reading.format), (Some(6_012_345), None, None));
        assert_eq!(reading.duration, Some(Duration::from_secs_f64(754.9)));
    }
}
