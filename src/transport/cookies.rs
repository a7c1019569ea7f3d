//! Cookies (RFC 6265) that a service sets, kept for as long as a run is walked.
//!
//! A jar belongs to one connection. What an origin set goes back to that origin only, other
//! hosts of its domain included: they would be another connection.

use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use url::{Host, Origin, Url};

/// The most cookies kept, and the longest, in bytes: a service cannot fill memory.
const COUNT: usize = 64;
const SIZE: usize = 4096;

/// One cookie, or the word that it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cookie {
    origin: String,
    path: String,
    name: String,
    value: String,
    /// When it ends, in milliseconds since the Unix epoch; with the run if it does not say.
    until: Option<i64>,
    /// When it was set, likewise: the later word counts.
    at: i64,
}

/// The cookies of one connection.
#[derive(Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

impl Jar {
    /// Takes what an answer sets, and gives it.
    pub fn take<'h>(
        &mut self,
        url: &Url,
        headers: impl Iterator<Item = &'h str>,
        now_ms: i64,
    ) -> Vec<Cookie> {
        let all: Vec<Cookie> =
            headers.filter_map(|header| Cookie::parse(url, header, now_ms)).collect();
        all.iter().cloned().for_each(|cookie| self.put(cookie));
        all
    }

    /// The `Cookie` header of a request; none if there is nothing to send.
    pub fn header(&self, url: &Url, now_ms: i64) -> Option<String> {
        let origin = url.origin().ascii_serialization();
        let fits = |cookie: &&Cookie| {
            cookie.origin == origin && cookie.lives(now_ms) && within(&cookie.path, url.path())
        };
        let mut fitting: Vec<&Cookie> = self.cookies.iter().filter(fits).collect();
        // of the same name the one that belongs closer comes first
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> =
            fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Puts in what an earlier walk took. The later of two words about one cookie counts.
    pub fn put(&mut self, cookie: Cookie) {
        let same = |known: &Cookie| {
            (&known.origin, &known.path, &known.name)
                == (&cookie.origin, &cookie.path, &cookie.name)
        };
        match self.cookies.iter().position(same) {
            Some(at) if self.cookies[at].at <= cookie.at => self.cookies[at] = cookie,
            None if self.cookies.len() < COUNT => self.cookies.push(cookie),
            _ => {}
        }
    }
}

impl Cookie {
    /// Its value, which is secret.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Reads a `Set-Cookie` header; none if it is not for this host, or nothing to keep.
    fn parse(url: &Url, header: &str, now_ms: i64) -> Option<Self> {
        let mut parts = header.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        let wild = |text: &str| text.contains(|c: char| c.is_control());
        if name.is_empty() || header.len() > SIZE || wild(&name) || wild(&value) {
            return None;
        }
        let origin = match url.origin() {
            origin @ Origin::Tuple(..) => origin.ascii_serialization(),
            Origin::Opaque(_) => return None,
        };
        let path = folder(url.path()).to_owned();
        let mut cookie = Self { origin, path, name, value, until: None, at: now_ms };
        let mut age = None;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "expires" => cookie.until = date(value).or(cookie.until),
                "max-age" => age = value.parse::<i64>().ok().or(age),
                "domain" if !belongs(url, value) => return None,
                "secure" if url.scheme() != "https" => return None,
                _ => {}
            }
        }
        // the age counts more than the date
        cookie.until =
            age.map(|age| now_ms.saturating_add(age.saturating_mul(1000))).or(cookie.until);
        Some(cookie)
    }

    fn lives(&self, now_ms: i64) -> bool {
        self.until.is_none_or(|until| until > now_ms)
    }
}

/// The folder of a path: what a cookie is for that does not say.
fn folder(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

/// Whether a path is a cookie's or below it.
fn within(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

/// Whether a host is of the domain that a cookie names.
fn belongs(url: &Url, domain: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let host = url.host_str().unwrap_or_default();
    let below = || {
        let rest = host.strip_suffix(&domain).and_then(|rest| rest.strip_suffix('.'));
        matches!(url.host(), Some(Host::Domain(_))) && rest.is_some()
    };
    domain.is_empty() || host == domain || below()
}

/// A date as cookies have it, in milliseconds since the Unix epoch; dashes are common.
fn date(text: &str) -> Option<i64> {
    let parse = |text: &str| httpdate::parse_http_date(text).ok();
    let date = parse(text).or_else(|| parse(&text.replace('-', " ")))?;
    let since = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 784_111_777_000;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    /// What is sent to `to` after these headers came from `from`.
    fn sent(from: &str, headers: &[&str], to: &str) -> Option<String> {
        let mut jar = Jar::default();
        let _ = jar.take(&url(from), headers.iter().copied(), NOW);
        jar.header(&url(to), NOW + 1)
    }

    #[test]
    fn a_cookie_goes_back_where_it_came_from_and_nowhere_else() {
        let from = "https://app.example.com/a/login";
        for (header, to, goes) in [
            ("s=1", "https://app.example.com/a/x", true),
            ("s=1", "https://app.example.com/a", true),
            ("s=1", "https://app.example.com/ab", false),
            ("s=1", "https://app.example.com/", false),
            ("s=1; Path=/", "https://app.example.com/b", true),
            ("s=1; path=/a/b", "https://app.example.com/a/bc", false),
            ("s=1; Path=/; Domain=.example.com", "https://app.example.com/b", true),
            ("s=1; Path=/; Domain=.example.com", "https://other.example.com/b", false),
            ("s=1; Path=/; Domain=example.org", "https://app.example.com/b", false),
            ("s=1; Path=/; Domain=pp.example.com", "https://app.example.com/b", false),
            ("s=1; Path=/; Secure; HttpOnly; SameSite=Lax", "https://app.example.com/b", true),
            ("s=1; Path=/", "http://app.example.com/b", false),
            ("s=1; Path=/", "https://app.example.com:8443/b", false),
        ] {
            let wanted = goes.then(|| "s=1".to_owned());
            assert_eq!(sent(from, &[header], to), wanted, "{header} to {to}");
        }
        assert_eq!(sent("http://h/", &["s=1; Secure"], "http://h/"), None);
        let odd =
            ["=1", "novalue", "s\u{7}=1", &format!("s={}", "x".repeat(SIZE))].map(str::to_owned);
        for header in odd {
            assert_eq!(sent("http://h/", &[&header], "http://h/"), None, "{header}");
        }
    }

    #[test]
    fn a_cookie_lives_as_long_as_it_says() {
        let past = "Expires=Sun, 06-Nov-1994 08:49:36 GMT";
        let later = "Expires=Sun, 06 Nov 1994 08:50:00 GMT";
        for (attributes, lives) in [
            (past, false),
            (later, true),
            ("Max-Age=0", false),
            ("Max-Age=-5", false),
            ("Max-Age=5", true),
            ("Max-Age=9999999999999999", true),
            ("Max-Age=soon", true),
            (&*format!("{past}; Max-Age=5"), true),
            (&*format!("Max-Age=0; {later}"), false),
        ] {
            let header = format!("s=1; {attributes}");
            assert_eq!(sent("http://h/", &[&header], "http://h/").is_some(), lives, "{attributes}");
        }
    }

    #[test]
    fn the_last_word_counts_and_closer_ones_come_first() {
        let all =
            ["a=1; Path=/", "b=2", "a=3; Path=/x", "b=4", "c=5; Path=/", "c=; Path=/; Max-Age=0"];
        assert_eq!(sent("http://h/", &all, "http://h/x/").as_deref(), Some("a=3; a=1; b=4"));
    }

    #[test]
    fn what_was_taken_can_be_put_back_in_any_order() {
        let mut first = Jar::default();
        let old = first.take(&url("http://h/"), ["s=old"].into_iter(), NOW);
        let new = first.take(&url("http://h/"), ["s=new"].into_iter(), NOW + 1);
        for order in [[&old, &new], [&new, &old]] {
            let mut jar = Jar::default();
            order.into_iter().flatten().cloned().for_each(|cookie| jar.put(cookie));
            assert_eq!(jar.header(&url("http://h/"), NOW).as_deref(), Some("s=new"));
        }
    }

    #[test]
    fn a_service_cannot_fill_memory() {
        let mut jar = Jar::default();
        for number in 0..10_000 {
            let _ = jar.take(&url("http://h/"), [&*format!("c{number}=1")].into_iter(), NOW);
        }
        assert_eq!(jar.cookies.len(), COUNT);
    }
}
