//! The URL of a webhook. It may hold secrets: the user's name and password, the query, and for some services
//! the path.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use percent_encoding::percent_decode_str;

/// The URL of a webhook. Its `Display` shows only scheme, host and port: what messages may say.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct WebhookUrl {
    /// Without the user's name and password.
    pub(crate) uri: Uri,
    /// The value of the header `Authorization`, from the user's name and password in the URL.
    pub(crate) authorization: Option<String>,
}

impl WebhookUrl {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// If it is not an absolute one of `http` or `https`. The message does not repeat the text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        const EXAMPLE: &str = "write http://HOST:PORT/PATH or https://HOST/PATH";
        let Ok(uri) = text.parse::<Uri>() else { bail!("this is not a URL; {EXAMPLE}") };
        let mut parts = uri.into_parts();
        let scheme = parts.scheme.as_ref().map(http::uri::Scheme::as_str);
        if !matches!(scheme, Some("http" | "https")) {
            bail!("this is not an http or https URL; {EXAMPLE}");
        }
        let authority = parts.authority.take().context("the URL has no host")?;
        let (user, host) = match authority.as_str().rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority.as_str()),
        };
        let has_port = authority.as_str().rsplit_once(':').map(|(_, port)| port);
        let is_wrong_port = authority.port_u16().is_none()
            && has_port.is_some_and(|port| !port.contains(['@', ']']));
        if authority.host().is_empty() || is_wrong_port {
            bail!("the URL has no valid host and port; {EXAMPLE}");
        }
        let authorization = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let mut plain: Vec<u8> = percent_decode_str(name).collect();
            plain.push(b':');
            plain.extend(percent_decode_str(password));
            format!("Basic {}", BASE64_STANDARD.encode(plain))
        });
        parts.authority = Some(host.parse().ok().context("the URL has no valid host")?);
        let uri = Uri::from_parts(parts).ok().context("this is not a URL")?;
        Ok(Self { uri, authorization })
    }

    /// What may be printed of a URL.
    pub(crate) fn shown(text: &str) -> String {
        Self::parse(text).map_or_else(|_| "not a URL".to_owned(), |url| url.to_string())
    }
}

/// What `Display` shows, and a number by which one process tells two URLs apart.
impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let number = KEYS.hash_one((self.uri.to_string(), &self.authorization));
        write!(f, "WebhookUrl({self}, {number:x})")
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}", self.uri.scheme_str().unwrap_or("http"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sent_and_not_shown() {
        let url = WebhookUrl::parse("https://ann:p%40ss@hooks.example.com:8443/T0/B1/x?key=s3");
        let url = url.unwrap();
        assert_eq!(url.to_string(), "https://hooks.example.com:8443");
        assert_eq!(url.uri, "https://hooks.example.com:8443/T0/B1/x?key=s3");
        let header = format!("Basic {}", BASE64_STANDARD.encode("ann:p@ss"));
        assert_eq!(url.authorization, Some(header));
        let plain = WebhookUrl::parse("http://[::1]:9093").unwrap();
        assert_eq!((plain.authorization, plain.uri.path()), (None, "/"));
    }

    #[test]
    fn its_debug_form_differs_for_two_urls_and_shows_no_secret() {
        let of = |text: &str| format!("{:?}", WebhookUrl::parse(text).unwrap());
        let one = of("https://ann:s3cret@hooks.example.com/s3cret?key=s3cret");
        assert!(one.contains("https://hooks.example.com,") && !one.contains("s3cret"), "{one}");
        assert!(!one.contains("Basic"), "{one}");
        assert_eq!(one, of("https://ann:s3cret@hooks.example.com/s3cret?key=s3cret"));
        assert_ne!(one, of("https://ann:other@hooks.example.com/s3cret?key=s3cret"));
        assert_ne!(one, of("https://ann:s3cret@hooks.example.com/other?key=s3cret"));
    }

    #[test]
    fn what_is_no_url_is_refused_and_not_repeated() {
        let wrong = [
            "s3cret",
            "/s3cret",
            "ftp://s3cret/",
            "http://",
            "http:///s3cret",
            "http://ann:s3cret@",
            "http://host:s3cret/",
            "http://host:99999/s3cret",
            "http://host/s3 cret",
            "https:s3cret",
            "",
        ];
        for text in wrong {
            let error = WebhookUrl::parse(text).expect_err(text);
            let message = format!("{error:#}");
            assert!(!message.contains("s3"), "{text}: {message}");
        }
    }
}
