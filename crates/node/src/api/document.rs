//! The OpenAPI document, from the routes and the types that are served.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{events, metrics, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Histone node",
        version = "1",
        description = "The local API of a node, for programs of its own machine. Each request has a token of the node's home: `api.token` allows everything, `api.reader.token` allows to look, but for letters, the log, and what people ask models and get to know from them. Every refusal is `{error, todo}`: what is wrong, and what to do. 401: no token, or a wrong one. 403: a foreign `Host` or `Origin`, or a token that does not allow it.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        routes::status,
        routes::inbox,
        routes::decide,
        routes::wishes,
        routes::wish,
        routes::make_wish,
        routes::proposals,
        routes::log,
        events::events,
        routes::letters,
        metrics::metrics,
        routes::openapi
    ),
    modifiers(&Bearer),
    security(("token" = []))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI document of the API, as JSON.
pub fn document() -> String {
    // What the macros make is always JSON.
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
