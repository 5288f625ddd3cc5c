//! The handler that sends each event to a program: one POST, and the answer says what becomes of the event.
//!
//! Here are the effects; what is sent and what an answer means is decided in [`crate::domain::webhook`]. Nothing of URL, secret or
//! payload gets into the log or a reason.

mod agents;
mod connect;
mod names;
mod randomness;
mod sign;
mod socket;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use ::log::debug;
use ring::rand::SystemRandom;
use ureq::http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderName, HeaderValue, USER_AGENT};
use ureq::http::{self, Method, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::{Connector as _, RustlsConnector};
use ureq::{Agent, Timeout};

use super::{Call, Handler, HandlerError, HandlerResult};
use crate::config::handler_url::HandlerUrl;
use crate::config::settings::{Settings, WebhookSettings};
use crate::domain::base64;
use crate::domain::event::Event;
use crate::domain::trace_context::TraceContext;
use crate::domain::webhook::answer::{ANSWER_BYTES_MAX, Answer, verdict};
use crate::domain::webhook::request::{Format, Request, idempotency_key, message_id, request};
use crate::runtime::clock;
use agents::Agents;
use connect::{NotReached, Reaching};
use names::{Names, NotAsked};
use randomness::random;
use sign::Signer;
use socket::Sockets;

const CONTEXT: &str = "event-handler";

/// The longest wait for a connection, with name and TLS: a target that needs longer is taken to be down. Never more than half of
/// `HANDLER_TIMEOUT_MS`, so that the time that ends a call tells what took it.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that was idle for so long is not used again: common servers close theirs after five seconds (Node.js) or more, and
/// one that is closed while we send costs the event a call.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// The longest head of an answer, bytes; each connection has a buffer of this size.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// The buffer for what is sent, bytes, each connection; a larger body goes in pieces.
const SEND_BUFFER_BYTES: usize = 16 * 1024;

/// `User-Agent`.
const PRODUCT: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// Posts each event to `HANDLER_URL`.
pub struct WebhookHandler {
    agents: Agents,
    url: Uri,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
    stream: String,
    format: Format,
    signer: Option<Signer>,
    random: SystemRandom,
}

/// Why the settings do not make a webhook.
#[derive(Debug)]
pub struct WebhookError(String);

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for WebhookError {}

impl WebhookHandler {
    /// A webhook with connections for all workers; connects to nothing yet.
    ///
    /// # Errors
    /// When `HANDLER_CA_FILE` holds no certificates, or the address is none after all.
    pub fn new(webhook: &WebhookSettings, settings: &Settings) -> Result<Self, WebhookError> {
        let timeout = settings.handler.timeout;
        let reach = REACH_TIMEOUT.min(timeout / 2);
        let roots = match &webhook.ca_file {
            None => RootCerts::WebPki,
            Some(path) => {
                let pem = fs::read(path).map_err(|error| {
                    WebhookError(format!("HANDLER_CA_FILE cannot be read: {error}"))
                })?;
                certificates(&pem)?
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(timeout))
            .timeout_connect(Some(reach))
            .max_response_header_size(HEAD_BYTES_MAX)
            .input_buffer_size(HEAD_BYTES_MAX)
            .output_buffer_size(SEND_BUFFER_BYTES)
            // A client has one call at a time.
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE_MAX)
            .tls_config(tls)
            .build();
        let HandlerUrl {
            host,
            port,
            target,
            user,
            ..
        } = &webhook.url;
        let url: Uri = (webhook.url.origin() + target)
            .parse()
            .map_err(|_| WebhookError("HANDLER_URL cannot be used as it is".to_owned()))?;
        let host_header = HeaderValue::try_from(webhook.url.host_header())
            .map_err(|_| WebhookError("HANDLER_URL cannot be used as it is".to_owned()))?;
        let authorization = user
            .as_ref()
            .map(|user| HeaderValue::try_from(format!("Basic {}", base64::encode(user))))
            .transpose()
            .map_err(|_| WebhookError("HANDLER_URL cannot be used as it is".to_owned()))?;
        // All clients look names up, and keep what TLS needs, together.
        let sockets = Sockets::new(Names::new(host, *port));
        let connector = Reaching::new(sockets.chain(RustlsConnector::default()));
        let agents = Agents::new(IDLE_MAX, move || {
            Agent::with_parts(config.clone(), connector.clone(), NotAsked)
        });
        Ok(Self {
            agents,
            url,
            host: host_header,
            authorization,
            stream: settings.consumer.stream.clone(),
            format: webhook.format,
            signer: webhook.key.as_ref().map(Signer::new),
            random: SystemRandom::new(),
        })
    }

    fn request(&self, event: &Event, call: Call) -> Request {
        let trace = TraceContext::of(event, random(&self.random));
        let mut request = request(event, &self.stream, call.attempt, self.format, trace);
        if let Some(signer) = &self.signer {
            let id = message_id(&idempotency_key(event, &self.stream));
            let signed = signer.headers(&id, clock::unix_ms() / 1_000, &request.body);
            request.headers.extend(signed);
        }
        request
    }

    /// What is sent, as the client takes it: in one piece, because its own builder is moved as a whole for each header. What the client
    /// would add stands here too where it is always the same.
    fn http(&self, request: Request) -> Result<http::Request<String>, http::Error> {
        let mut post = http::Request::new(request.body);
        *post.method_mut() = Method::POST;
        post.uri_mut().clone_from(&self.url);
        let headers = post.headers_mut();
        headers.reserve(request.headers.len() + 4);
        headers.append(HOST, self.host.clone());
        headers.append(USER_AGENT, HeaderValue::from_static(PRODUCT));
        headers.append(ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in request.headers {
            headers.append(header_name(name)?, header_value(value)?);
        }
        if let Some(authorization) = &self.authorization {
            headers.append(AUTHORIZATION, authorization.clone());
        }
        Ok(post)
    }

    fn post(&self, request: Request) -> Result<Answered, ureq::Error> {
        let post = self.http(request)?;
        self.agents.with(|agent| answered(agent.run(post)?))
    }
}

/// Reads an answer to its end.
fn answered(response: http::Response<ureq::Body>) -> Result<Answered, ureq::Error> {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get("Retry-After")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut body = Vec::new();
    // One byte more, so that the end is seen: only then can the connection be used again.
    let mut reader = response
        .into_body()
        .into_reader()
        .take(ANSWER_BYTES_MAX as u64 + 1);
    reader.read_to_end(&mut body)?;
    if body.len() > ANSWER_BYTES_MAX {
        body.clear();
    }
    Ok(Answered {
        status,
        retry_after,
        body,
    })
}

/// A name without a copy where it is one of ours.
fn header_name(name: Cow<'static, str>) -> Result<HeaderName, http::Error> {
    match name {
        Cow::Borrowed(name) => Ok(HeaderName::from_static(name)),
        Cow::Owned(name) => Ok(HeaderName::try_from(name)?),
    }
}

/// As [`header_name`].
fn header_value(value: Cow<'static, str>) -> Result<HeaderValue, http::Error> {
    Ok(match value {
        Cow::Borrowed(value) => HeaderValue::from_static(value),
        Cow::Owned(value) => HeaderValue::try_from(value)?,
    })
}

struct Answered {
    status: u16,
    retry_after: Option<String>,
    body: Vec<u8>,
}

impl Handler for WebhookHandler {
    fn handle(&self, event: &Event, call: Call) -> HandlerResult {
        let request = self.request(event, call);
        let answered = self.post(request).map_err(failed)?;
        let answer = Answer {
            status: answered.status,
            retry_after: answered.retry_after.as_deref(),
            body: &answered.body,
        };
        let result = verdict(answer, clock::unix_ms());
        debug!(
            target: CONTEXT, streamId:% = event.id(), status = answered.status, attempt = call.attempt,
            answer:% = String::from_utf8_lossy(&answered.body), correlationId = event.correlation_id();
            "target answered"
        );
        result
    }
}

/// What a call without a whole answer means: whether it reached its target is all that counts.
fn failed(error: ureq::Error) -> HandlerError {
    if let ureq::Error::Other(other) = &error
        && let Some(NotReached(why)) = other.downcast_ref()
    {
        return HandlerError::Unreached {
            reason: format!("the target was not reached: {why}"),
        };
    }
    let reason = match error {
        ureq::Error::Timeout(Timeout::Global) => {
            "no whole answer within HANDLER_TIMEOUT_MS".to_owned()
        }
        other => format!("no whole answer: {other}"),
    };
    HandlerError::Retry {
        reason,
        not_before: None,
    }
}

fn certificates(pem: &[u8]) -> Result<RootCerts, WebhookError> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => {
                return Err(WebhookError(format!("HANDLER_CA_FILE is not PEM: {error}")));
            }
        }
    }
    if found.is_empty() {
        return Err(WebhookError(
            "HANDLER_CA_FILE holds no certificate".to_owned(),
        ));
    }
    Ok(RootCerts::new_with_certs(&found))
}

#[cfg(test)]
mod tests;
