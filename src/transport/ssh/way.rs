//! The way of HTTP calls through a session: a socket of this machine that leads to one port.
//!
//! A forward takes every connection and only then finds that nobody listens behind it, when a
//! request may be on its way. So before each connection the port is looked at: what fails then
//! was certainly not sent.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::Session;

/// A way through a host to one port behind it.
#[derive(Debug, Clone)]
pub struct Way {
    session: Arc<Session>,
    socket: PathBuf,
    target: String,
}

impl Way {
    pub(super) fn new(session: Arc<Session>, socket: PathBuf, target: String) -> Self {
        Self { session, socket, target }
    }

    /// The socket that leads there; only this person may use it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

/// Puts the look before every connection a client makes.
#[derive(Debug, Clone)]
pub(in super::super) struct Reached(pub(in super::super) Way);

impl<S> Layer<S> for Reached {
    type Service = Looking<S>;

    fn layer(&self, inner: S) -> Looking<S> {
        Looking { way: self.0.clone(), inner }
    }
}

/// A connector that looks first.
#[derive(Debug, Clone)]
pub(in super::super) struct Looking<S> {
    way: Way,
    inner: S,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl<S, R> Service<R> for Looking<S>
where
    S: Service<R, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let way = self.way.clone();
        // The one that is ready goes, its copy stays for the next.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            way.session.reach(&way.target).await?;
            inner.call(request).await
        })
    }
}
