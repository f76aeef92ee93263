//! The admin listener: metrics, health and vitals for scrapers, supervisors and people.
//!
//! Everything here reads [`NodeState`] and changes nothing. `listener.rs` binds and bounds the connections.

pub mod listener;

use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::state::NodeState;
use crate::limits::{ADMIN_BODY_BYTES_MAX, ADMIN_REQUEST_TIMEOUT};
use crate::metrics::{Exposition, exposition};

pub use listener::{AdminError, AdminListener};

/// What every 404 says.
const INDEX: &str = "GET /metrics  what the node counts, for prometheus\n\
                     GET /healthz  200 while the control thread answers\n\
                     GET /readyz   200 if the node wants traffic, 503 with reasons if not\n\
                     GET /vitals   everything the node knows about its health, as JSON\n";

/// Answers on `listener` until `end` is ready, then lets open requests finish. Runs on the control thread's runtime.
///
/// # Errors
///
/// The socket cannot be used with the runtime.
pub async fn serve(
    listener: AdminListener,
    state: Arc<NodeState>,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let routes = router(state);
    match listener.into_bounded()? {
        listener::Bounded::Tcp(tcp) => axum::serve(tcp, routes).with_graceful_shutdown(end).await,
        listener::Bounded::Unix(unix, _unlink) => axum::serve(unix, routes).with_graceful_shutdown(end).await,
    }
}

/// The routes over `state`.
pub fn router(state: Arc<NodeState>) -> Router {
    let admin = Arc::new(Admin { exposition: Exposition::new(Arc::clone(&state)), state });
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { Json(Health { live: true }) }))
        .route("/readyz", get(readyz))
        .route("/vitals", get(vitals))
        .fallback(|uri: Uri| async move { (StatusCode::NOT_FOUND, format!("no {}\n{INDEX}", uri.path())) })
        .with_state(admin)
        .layer(middleware::from_fn(bounded))
}

/// What handlers read from.
struct Admin {
    state: Arc<NodeState>,
    exposition: Exposition,
}

#[derive(Serialize)]
struct Health {
    live: bool,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<vitals::Reason>,
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    match admin.exposition.text() {
        Ok(text) => ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let reasons: Vec<_> = admin.state.unready(Instant::now()).into_iter().map(vitals::Reason::from).collect();
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons })).into_response()
}

async fn vitals(State(admin): State<Arc<Admin>>) -> Json<vitals::Vitals> {
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Json(admin.state.vitals(Instant::now(), unix_s))
}

/// Refuses bodies, ends slow requests, and keeps caches away.
async fn bounded(request: Request, next: Next) -> Response {
    let length = request.body().size_hint();
    let mut response = if length.upper().is_none_or(|bytes| bytes > ADMIN_BODY_BYTES_MAX) {
        (StatusCode::PAYLOAD_TOO_LARGE, "no request here has a body\n").into_response()
    } else {
        match tokio::time::timeout(ADMIN_REQUEST_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the node is too busy to answer\n").into_response(),
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
