//! The endpoints and their names. The router, the fault plan and the received log share this
//! table, so that a name means the same everywhere. Another platform on the same port brings
//! its own table.

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

/// All endpoints of the LIME platform.
pub(crate) const LIME: [&Route; 7] =
    [&CREATE_REQUEST, &READ_REQUEST, &EVENTS, &JWKS, &CHALLENGE, &APPROVE, &PROFILE];

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
    LIME.iter().find(|route| route.matches(method, path)).map(|route| route.name)
}

/// Whether a fault can be planned for this name.
pub(crate) fn is_known(name: &str) -> bool {
    name == "*" || LIME.iter().any(|route| route.name == name)
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
    }
}
