//! The endpoints and their names. The router, the fault plan and the received log share these
//! tables, so that a name means the same everywhere.

use http::Method;

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Route {
    /// What the fault plan and the received log call it.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    /// The path in the router's notation; a segment in braces takes anything.
    pub(crate) path: &'static str,
}

const fn route(name: &'static str, method: Method, path: &'static str) -> Route {
    Route { name, method, path }
}

pub(crate) const CREATE_REQUEST: Route =
    route("create_request", Method::POST, "/api/v1/modules/agent-login/requests");
pub(crate) const READ_REQUEST: Route =
    route("read_request", Method::GET, "/api/v1/modules/agent-login/requests/{id}");
pub(crate) const EVENTS: Route = route("events", Method::GET, "/api/v1/modules/agent-login/events");
pub(crate) const JWKS: Route = route("jwks", Method::GET, "/api/v1/core/.well-known/jwks.json");
pub(crate) const CHALLENGE: Route = route("challenge", Method::GET, "/api/v1/auth/requests/{id}");
pub(crate) const APPROVE: Route =
    route("approve", Method::POST, "/api/v1/modules/agent-login/requests/{id}/approve");
pub(crate) const PROFILE: Route = route("profile", Method::GET, "/api/v1/core/agents/me/profile");
pub(crate) const MCP_METADATA: Route =
    route("mcp_metadata", Method::GET, "/api/v1/modules/oauth/.well-known/oauth-authorization-server");
pub(crate) const MCP_TOKEN: Route = route("mcp_token", Method::POST, "/api/v1/modules/oauth/token");

pub(crate) const TRIGGER_APPROVAL: Route = route("trigger_approval", Method::POST, "/v1/approvals");
pub(crate) const READ_APPROVAL: Route = route("read_approval", Method::GET, "/v1/approvals/{id}");

/// All endpoints of the LIME platform.
pub(crate) const LIME: [&Route; 9] = [
    &CREATE_REQUEST,
    &READ_REQUEST,
    &EVENTS,
    &JWKS,
    &CHALLENGE,
    &APPROVE,
    &PROFILE,
    &MCP_METADATA,
    &MCP_TOKEN,
];

/// All endpoints of the Sesame broker.
pub(crate) const SESAME: [&Route; 2] = [&TRIGGER_APPROVAL, &READ_APPROVAL];

/// Who answers at a path: each platform has its own form of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Lime,
    Sesame,
}

impl Dialect {
    /// The platform that a path belongs to, known endpoint or not.
    pub(crate) fn of(path: &str) -> Self {
        match path.strip_prefix("/v1") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::Sesame,
            _ => Self::Lime,
        }
    }
}

impl Route {
    fn matches(&self, method: &Method, path: &str) -> bool {
        if self.method != *method {
            return false;
        }
        let mut wanted = self.path.split('/');
        let mut given = path.split('/');
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if wanted == given => {}
                (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
                _ => return false,
            }
        }
    }
}

/// The name of the endpoint that a request is for.
pub(crate) fn name_of(method: &Method, path: &str) -> Option<&'static str> {
    all().find(|route| route.matches(method, path)).map(|route| route.name)
}

/// Whether a fault can be planned for this name.
pub(crate) fn is_known(name: &str) -> bool {
    name == "*" || all().any(|route| route.name == name)
}

fn all() -> impl Iterator<Item = &'static Route> {
    LIME.into_iter().chain(SESAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_method_and_path() {
        let get = |path| name_of(&Method::GET, path);
        assert_eq!(get("/api/v1/auth/requests/abc"), Some("challenge"));
        assert_eq!(get("/api/v1/auth/requests/"), None);
        assert_eq!(get("/api/v1/auth/requests/a/b"), None);
        assert_eq!(get("/api/v1/modules/agent-login/requests/a"), Some("read_request"));
        assert_eq!(get("/api/v1/modules/agent-login/events"), Some("events"));
        assert_eq!(name_of(&Method::POST, "/api/v1/modules/agent-login/events"), None);
        assert_eq!(name_of(&Method::POST, "/api/v1/modules/agent-login/requests/a/approve"), Some("approve"));
        assert_eq!(get("/v1/approvals/a"), Some("read_approval"));
        assert_eq!(get("/v1/approvals"), None);
        assert_eq!(name_of(&Method::POST, "/v1/approvals"), Some("trigger_approval"));
    }

    #[test]
    fn paths_belong_to_a_platform() {
        for path in ["/v1", "/v1/", "/v1/approvals", "/v1/nothing"] {
            assert_eq!(Dialect::of(path), Dialect::Sesame, "{path}");
        }
        for path in ["/", "/v10", "/api/v1/approvals", "*"] {
            assert_eq!(Dialect::of(path), Dialect::Lime, "{path}");
        }
    }
}
