//! The variables from which clients take what a program leaves out.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Where a client looks up `LIME_SITE_TOKEN` and its other variables when it is made: in the process's environment, or
/// in one that the host has put together, of which nothing of the process's then shines through. Proxies and files of
/// certificates are the process's in any case: all clients share them.
///
/// ```
/// use lime_core::{Environment, LimeSite, SiteConfig};
///
/// let variables = [("LIME_SITE_TOKEN".to_owned(), "st_example".to_owned())];
/// let environment = Environment::from_iter(variables);
/// assert!(LimeSite::new(SiteConfig { environment, ..SiteConfig::default() }).is_ok());
/// assert!(LimeSite::new(SiteConfig { environment: Environment::from_iter([]), ..SiteConfig::default() }).is_err());
/// ```
#[derive(Clone, Default)]
pub struct Environment(Option<Arc<HashMap<String, Zeroizing<String>>>>);

impl Environment {
    /// A variable; an empty one counts as absent.
    pub(crate) fn get(&self, variable: &str) -> Option<String> {
        let found = match &self.0 {
            None => std::env::var(variable).ok(),
            Some(variables) => variables.get(variable).map(|value| value.to_string()),
        };
        found.filter(|text| !text.is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    /// An environment of these variables and no other. Their values are wiped with it.
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        let kept = variables.into_iter().map(|(name, value)| (name, Zeroizing::new(value)));
        Self(Some(Arc::new(kept.collect())))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There are tokens among the values.
        let names = self.0.as_ref().map(|variables| variables.keys().collect::<Vec<_>>());
        f.debug_tuple("Environment").field(&names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_shows_no_values_and_an_empty_one_is_absent() {
        let variables = [("LIME_SITE_TOKEN", "st_secret"), ("LIME_API_BASE", "")];
        let own = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let own = Environment::from_iter(own);
        assert_eq!(own.get("LIME_SITE_TOKEN").as_deref(), Some("st_secret"));
        assert_eq!((own.get("LIME_API_BASE"), own.get("PATH")), (None, None));
        let shown = format!("{own:?} {:?}", Environment::default());
        assert!(shown.contains("LIME_SITE_TOKEN") && !shown.contains("st_"), "{shown}");
        assert_eq!(Environment::default().get("PATH"), std::env::var("PATH").ok(), "the process's");
    }
}
