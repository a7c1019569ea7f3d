//! Redirects (RFC 9110, 15.4): what request follows an answer.
//!
//! None ever leaves the origin: headers of a connection stay with its host, and https never
//! becomes http.

use super::{Request, Response};

/// The request that a redirect leads to; none if the answer is none that is followed. Fails
/// with what is wrong, one line.
pub(super) fn next(request: &Request, response: &Response) -> Result<Option<Request>, String> {
    let redirects = matches!(response.status, 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.header("location").filter(|_| redirects) else {
        return Ok(None);
    };
    if request.redirects == 0 {
        return Ok(None);
    }
    let url = request.url.join(location).map_err(|_| "a redirect leads to what is no URL")?;
    if url.origin() != request.url.origin() {
        return Err("a redirect to another host or scheme is not followed".to_owned());
    }
    let mut next = Request { url, ..request.clone() };
    let asks = match (response.status, request.method.as_str()) {
        (303, "HEAD") => false,
        (303, _) | (301 | 302, "POST") => true,
        _ => false,
    };
    if asks {
        "GET".clone_into(&mut next.method);
        next.body = None;
        next.headers.retain(|(name, _)| !name.starts_with("content-"));
    }
    Ok(Some(next))
}
