//! A program in a rehearsal: nothing runs, the fake says what would have come out.

use std::time::Duration;

use crate::transport::{Broken, Payload, Request};
use crate::value::Json;

use super::{Again, Cx, Effect, Failure, Route, Trouble, failure};

/// How long the fake may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a program would have said.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Said {
    /// Its exit status.
    pub(super) status: i32,
    /// Its standard output.
    pub(super) stdout: String,
    /// Its standard error.
    pub(super) stderr: String,
}

/// Where a program is asked about: the fake's address in a rehearsal, none in a real run.
pub(super) fn fake<'a>(cx: &'a Cx<'_>) -> Result<Option<&'a str>, Trouble> {
    match &cx.services.fake {
        None if cx.services.hosts.is_some() => {
            Err(Trouble::failed("a rehearsal runs no command, and its fake is gone"))
        }
        fake => Ok(fake.as_deref()),
    }
}

/// Tells the fake a command (`argv`, `stdin`, `env`, `cwd`, `ssh`) and takes its answer.
pub(super) async fn ask(cx: &Cx<'_>, fake: &str, told: &Json) -> Result<Said, Trouble> {
    let url = url::Url::parse(&format!("{fake}{}", crate::fake::COMMANDS))
        .map_err(|error| Trouble::failed(format!("`{fake}` is no address: {error}")))?;
    let client = cx.services.client(&url, &Route::default()).await?;
    // What may be done again is told from what may not, as with calls.
    let method = match cx.effect {
        Effect::Pure | Effect::Read => "GET",
        Effect::Repeatable => "PUT",
        Effect::Once => "POST",
    };
    let request = Request {
        method: method.to_owned(),
        url,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Some(Payload::Bytes(told.to_string().into_bytes())),
        timeout: PATIENCE,
        redirects: 0,
        cookies: None,
    };
    let response = client.send(request).await.map_err(|broken| {
        let doubt = !matches!(broken, Broken::Unmade(_) | Broken::NotSent(_) | Broken::NoWay(_));
        let message = format!("the fake failed: {}", broken.message());
        Trouble::Failed(Failure { doubt, ..failure(message) }, Again::MaybeDone)
    })?;
    let said = String::from_utf8_lossy(&response.body);
    match (response.status, serde_json::from_str::<Said>(&said)) {
        (200, Ok(said)) => Ok(said),
        _ => Err(Trouble::failed(cx.mask(said.trim()))
            .hint("a rehearsal runs no command: `[[commands]]` in the fake answer them")),
    }
}
