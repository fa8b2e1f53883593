//! Sites and agents: who they are, and who may come in.

use serde_json::{Map, Value};

use crate::envelope::Failure;
use crate::error::ControlError;
use crate::events::End;
use crate::ids;
use crate::settings::ProfileForm;
use crate::state::{Agent, Core, NewAgent, Site, State};

impl State {
    /// The site behind a token.
    pub(crate) fn authenticate_site(&self, token: Option<&str>) -> Result<&Site, Failure> {
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let token = token.ok_or(Failure::SITE_TOKEN_MISSING)?;
        let site = self.site_by_token(token).ok_or(Failure::SITE_TOKEN_INVALID)?;
        if site.suspended {
            return Err(Failure::SITE_SUSPENDED);
        }
        Ok(site)
    }

    /// The agent behind a token.
    pub(crate) fn authenticate_agent(&self, token: Option<&str>) -> Result<&Agent, Failure> {
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let token = token.ok_or(Failure::MISSING_AGENT_TOKEN)?;
        self.agent_by_token(token).ok_or(Failure::INVALID_AGENT_TOKEN)
    }

    /// An agent's profile in the form that the settings ask for.
    pub(crate) fn profile(&self, agent: &Agent) -> Value {
        let NewAgent { display_name, avatar_url, description, owner_kyc_level, agent_reputation } =
            &agent.profile;
        let form = self.settings.profile_form;
        let mut data = Map::new();
        data.insert("agent_id".into(), agent.agent_id.as_str().into());
        if form != ProfileForm::Today {
            data.insert("owner_id".into(), agent.owner_id.as_str().into());
        }
        if form != ProfileForm::Seed {
            data.insert("user_id".into(), agent.owner_id.as_str().into());
        }
        for (name, value) in
            [("display_name", display_name), ("avatar_url", avatar_url), ("description", description)]
        {
            if let Some(value) = value {
                data.insert(name.into(), value.as_str().into());
            }
        }
        if form != ProfileForm::Today {
            for (name, value) in
                [("owner_kyc_level", owner_kyc_level), ("agent_reputation", agent_reputation)]
            {
                if let Some(value) = value {
                    data.insert(name.into(), (*value).into());
                }
            }
        }
        Value::Object(data)
    }
}

impl Core {
    pub(crate) fn add_site(&self, name: Option<String>) -> Site {
        let site = Site { site_id: ids::uuid(), site_token: ids::site_token(), name, suspended: false };
        self.change(|state| state.insert_site(site.clone()));
        site
    }

    pub(crate) fn suspend_site(&self, id: &str, suspended: bool) -> Result<Site, ControlError> {
        self.change(|state| {
            let site =
                state.sites.get_mut(id).ok_or_else(|| ControlError::not_found("there is no such site"))?;
            site.suspended = suspended;
            let site = site.clone();
            if suspended {
                state.end_streams(Some(id), End::Clean);
            }
            Ok(site)
        })
    }

    pub(crate) fn add_agent(&self, profile: NewAgent) -> Agent {
        let agent = Agent {
            agent_id: ids::uuid(),
            agent_token: ids::agent_token(),
            owner_id: ids::uuid(),
            mcp_access: true,
            profile,
        };
        self.change(|state| state.insert_agent(agent.clone()));
        agent
    }
}
