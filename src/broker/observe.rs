//! What there is: sets, pods and addresses as Kubernetes tells, brokers as every name server and they themselves tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::children;
use super::config::{Ports, UserConfig};
use super::consumers;
use super::drain::{self, Drain};
use super::live;
use super::name_servers::{NameServer, NameServers};
use super::open::{self, Openings};
use super::tables;
use super::valid::{Member, Valid};
use crate::admin::{Admin, BrokerConfig, ClusterInfo, RuntimeInfo, Version, perm};
use crate::context::{self, Context};
use crate::k8s::labels::{self, CONFIG_HASH, LIVE_HASH, Labels, NAME_SERVERS};
use crate::k8s::{pod, service};

/// Everything a plan is made from.
#[derive(Debug)]
pub struct Observed {
    /// Each broker that is to run now.
    pub members: Vec<Seen>,
    /// What each name server lists.
    pub views: Vec<View>,
    /// The list of name servers that brokers start with, if it was ever written.
    pub name_server_list: Option<String>,
    /// The hash of what brokers were last to take live.
    pub live_hash: Option<String>,
    /// What groups that are being opened still lack.
    pub openings: Openings,
    /// The groups that have a disruption budget.
    pub budgets: BTreeSet<i32>,
    /// By group: the topics and groups that are noted of its master, whose store went, or goes, with its pod.
    pub tables: BTreeMap<i32, tables::Noted>,
    /// The group that leaves, if one does.
    pub drain: Option<Drain>,
}

/// One broker as it is.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which one.
    pub member: Member,
    /// Its StatefulSet.
    pub set: Option<Arc<StatefulSet>>,
    /// Its pod.
    pub pod: Option<Arc<Pod>>,
    /// The address of its Service.
    pub service_ip: Option<String>,
    /// Whether a Service or a configuration of its own is there.
    pub has_belongings: bool,
    /// The annotations of its configuration: what its StatefulSet remembers, too.
    pub config_notes: Option<Labels>,
    /// What it says when asked; nothing where it could not be asked.
    pub answer: Answer,
    /// What it said of itself, if it serves.
    pub facts: Option<Facts>,
}

/// What a broker said of itself.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Where it answered, `host:port`.
    pub address: String,
    /// Its present state.
    pub runtime: RuntimeInfo,
    /// What it runs with.
    pub config: BrokerConfig,
}

impl Facts {
    /// Whether it was seen to run with another list of name servers.
    #[must_use]
    pub fn misses(&self, list: &str) -> bool {
        !live::same_servers(self.config.get(live::NAME_SERVERS), list)
    }

    /// Whether its version takes a list of name servers without a restart.
    #[must_use]
    pub fn takes_name_servers_live(&self) -> bool {
        self.runtime
            .release()
            .is_some_and(Version::takes_name_servers_live)
    }

    /// The address that it tells name servers, as it says.
    #[must_use]
    pub fn announced(&self, ports: Ports) -> Option<String> {
        let host = self
            .config
            .get("brokerIP1")
            .map(str::trim)
            .filter(|host| !host.is_empty())?;
        Some(format!("{host}:{}", ports.main))
    }

    /// Whether it announces its topics as read-only, if that is known.
    #[must_use]
    pub fn fenced(&self) -> Option<bool> {
        let permission = self.config.broker_permission()?;
        Some(permission & perm::WRITE == 0)
    }
}

/// What a broker said when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was not asked: its pod is not ready.
    NotAsked,
    /// It serves.
    Serves,
    /// It did not answer as this broker should; why.
    No(String),
}

/// What one name server lists.
#[derive(Clone, Debug)]
pub struct View {
    /// What people call it.
    pub name: String,
    /// Where it is asked, `host:port`, if it can be.
    pub address: Option<String>,
    /// Its list, or why there is none.
    pub lists: Result<ClusterInfo, String>,
}

/// Looks at everything, without writing and without waiting longer than the client's own deadlines.
pub async fn observe(
    valid: &Valid,
    user: &UserConfig,
    name_servers: Option<&NameServers>,
    (ctx, admin): (&Context, &dyn Admin),
) -> Observed {
    let ask = name_servers.map(|found| found.ask.as_slice()).unwrap_or_default();
    let (views, members) = futures::future::join(
        join_all(ask.iter().map(|server| view(server, admin))),
        join_all(
            valid
                .shape
                .members()
                .map(|member| seen(valid, user, member, (ctx, admin))),
        ),
    )
    .await;
    let list = context::get(
        &ctx.stores.config_maps,
        &valid.target.namespace,
        &children::name_servers_name(valid),
    );
    let list = list.filter(|map| valid.target.owns(&map.metadata));
    let mut observed = Observed {
        members,
        views,
        live_hash: list
            .as_ref()
            .and_then(|map| map.annotations().get(LIVE_HASH).cloned()),
        name_server_list: list.and_then(|map| map.annotations().get(NAME_SERVERS).cloned()),
        openings: Openings::new(),
        budgets: budgets(valid, ctx),
        tables: (0..valid.shape.groups)
            .filter_map(|group| Some((group, tables::noted(valid, group, ctx)?)))
            .collect(),
        drain: None,
    };
    observed.openings = open::observe(valid, &observed, admin).await;
    observed.drain = drain::observe(valid, &observed, admin).await;
    observed
}

fn budgets(valid: &Valid, ctx: &Context) -> BTreeSet<i32> {
    let has = |group: &i32| {
        let name = children::budget_name(valid, *group);
        let found = context::get(&ctx.stores.disruption_budgets, &valid.target.namespace, &name);
        found.is_some_and(|budget| valid.target.owns(&budget.metadata))
    };
    (0..valid.shape.groups).filter(has).collect()
}

async fn view(server: &NameServer, admin: &dyn Admin) -> View {
    let lists = match &server.address {
        Some(address) => admin.cluster_info(address).await.map_err(|err| err.to_string()),
        None => Err("its pod has no address yet".to_owned()),
    };
    View {
        name: server.name.clone(),
        address: server.address.clone(),
        lists,
    }
}

async fn seen(
    valid: &Valid,
    user: &UserConfig,
    member: Member,
    (ctx, admin): (&Context, &dyn Admin),
) -> Seen {
    let (namespace, name) = (valid.target.namespace.as_str(), member.name(&valid.name));
    let set = context::get(&ctx.stores.stateful_sets, namespace, &name)
        .filter(|set| valid.target.owns(&set.metadata));
    let pod_name = member.pod_name(&valid.name);
    let pod = match &set {
        Some(set) => ctx.stores.pod_of_set(namespace, &pod_name, set),
        // It outlives its set for as long as it takes to stop, or until there is another set around it.
        None => context::get(&ctx.stores.pods, namespace, &pod_name)
            .filter(|pod| labels::contain(Some(pod.labels()), &labels::broker_selector(&valid.name))),
    };
    let service = context::get(&ctx.stores.services, namespace, &name)
        .filter(|service| valid.target.owns(&service.metadata));
    let service_ip = service
        .as_ref()
        .and_then(|found| service::address(found).map(ToOwned::to_owned));
    let config = context::get(&ctx.stores.config_maps, namespace, &children::config_name(&name))
        .filter(|map| valid.target.owns(&map.metadata));
    let (answer, facts) = match pod.as_deref().filter(|pod| pod::ready(pod)).and_then(pod::ip) {
        Some(ip) => {
            let address = format!("{ip}:{}", ports(pod.as_deref(), user).main);
            match ask(valid, member, address, admin).await {
                Ok(facts) => (Answer::Serves, Some(facts)),
                Err(why) => (Answer::No(why), None),
            }
        }
        None => (Answer::NotAsked, None),
    };
    Seen {
        member,
        set,
        pod,
        service_ip,
        has_belongings: service.is_some() || config.is_some(),
        config_notes: config.and_then(|map| map.metadata.annotations.clone()),
        answer,
        facts,
    }
}

/// The ports of a pod as it runs; those to be where there is none, or they are not told.
fn ports(pod: Option<&Pod>, user: &UserConfig) -> Ports {
    let of = |name: &str| pod.and_then(|pod| pod::port(pod, name));
    match (of("main"), of("ha")) {
        (Some(main), Some(ha)) => Ports { main, ha },
        _ => user.ports,
    }
}

/// What the broker at `address` says, or why it is not this one or does not serve. Its identity is read each time,
/// because pod addresses are used again, and what it runs with too, because others may change it.
async fn ask(valid: &Valid, member: Member, address: String, admin: &dyn Admin) -> Result<Facts, String> {
    let runtime = admin
        .runtime_info(&address)
        .await
        .map_err(|err| err.to_string())?;
    let config = admin
        .broker_config(&address)
        .await
        .map_err(|err| err.to_string())?;
    let (name, id) = (config.broker_name().unwrap_or_default(), config.broker_id());
    let expected = (valid.broker_name(member.group), Some(member.id()));
    if (name.to_owned(), id) != expected {
        return Err(format!(
            "{address} is broker {name:?} id {id:?}, not {} id {}",
            expected.0,
            member.id()
        ));
    }
    Ok(Facts {
        address,
        runtime,
        config,
    })
}

impl Seen {
    /// Where clients and replicas dial this broker, if that is known.
    #[must_use]
    pub fn advertised(&self, valid: &Valid, user: &UserConfig) -> Option<String> {
        let own = if valid.advertises_pod_ip() {
            self.pod.as_deref().and_then(pod::ip).map(ToOwned::to_owned)
        } else {
            self.service_ip.clone()
        };
        let host = user.values.get("brokerIP1").cloned().or(own)?;
        Some(format!("{}:{}", host.trim(), self.ports(user).main))
    }

    /// The ports at which it is reached: those of its pod, as long as that runs with other ones than it is to have.
    #[must_use]
    pub fn ports(&self, user: &UserConfig) -> Ports {
        ports(self.pod.as_deref(), user)
    }

    /// What was noted when it was last written: by its StatefulSet, or while that is made anew around its pod by its
    /// configuration, or by the pod where an earlier release wrote that.
    #[must_use]
    pub fn noted(&self) -> Option<&Labels> {
        let config = self
            .config_notes
            .as_ref()
            .filter(|notes| notes.contains_key(CONFIG_HASH));
        let set = self.set.as_deref().map(ResourceExt::annotations);
        set.or(config)
            .or(self.pod.as_deref().map(ResourceExt::annotations))
    }

    /// Whether its pod is ready.
    #[must_use]
    pub fn pod_ready(&self) -> bool {
        self.pod.as_deref().is_some_and(pod::ready)
    }
}

impl Observed {
    /// What was seen of one broker, if it is to run now.
    #[must_use]
    pub fn broker(&self, member: Member) -> Option<&Seen> {
        self.members.iter().find(|seen| seen.member == member)
    }

    /// The masters of all groups but that one.
    #[must_use]
    pub fn other_masters(&self, valid: &Valid, group: i32) -> Vec<consumers::Other<'_>> {
        let masters = self.members.iter().filter(|seen| seen.member.is_master());
        let others = masters.filter(|seen| seen.member.group != group);
        others
            .map(|seen| {
                let address = seen.facts.as_ref().map(|facts| facts.address.as_str());
                (seen.member.pod_name(&valid.name), address)
            })
            .collect()
    }

    /// Whether every name server, of which there is at least one, lists that broker.
    #[must_use]
    pub fn is_listed(&self, valid: &Valid, member: Member) -> bool {
        let lists = |view: &View| view.lists.as_ref().is_ok_and(|info| lists(info, valid, member));
        !self.views.is_empty() && self.views.iter().all(lists)
    }

    /// Whether any name server lists that broker, or does not tell.
    #[must_use]
    pub fn may_be_listed(&self, valid: &Valid, member: Member) -> bool {
        self.views.iter().any(|view| match &view.lists {
            Ok(info) => lists(info, valid, member),
            Err(_) => true,
        })
    }

    /// The brokers that serve: their pod is ready, they answer, and every name server lists them where clients reach
    /// them. Where not, why not, by pod name.
    #[must_use]
    pub fn not_serving(&self, valid: &Valid, user: &UserConfig) -> BTreeMap<String, String> {
        self.members
            .iter()
            .filter_map(|seen| {
                let why = self.why_not(seen, valid, user)?;
                Some((seen.member.pod_name(&valid.name), why))
            })
            .collect()
    }

    /// As [`Observed::not_serving`], but a broker that still runs with another list of name servers than `list` need only be
    /// listed somewhere, and nowhere if all of its own are gone: the new ones hear of it when it has restarted. And one that still
    /// announces another address than it is to is well listed there.
    #[must_use]
    pub fn in_trouble(&self, valid: &Valid, user: &UserConfig, list: &str) -> BTreeMap<String, String> {
        let mut all = self.not_serving(valid, user);
        for seen in &self.members {
            let facts = seen.facts.as_ref().filter(|facts| facts.misses(list));
            let forsaken = |facts: &Facts| live::other_servers(facts.config.get(live::NAME_SERVERS), list);
            if facts.is_some_and(|facts| forsaken(facts) || self.is_listed_somewhere(valid, seen.member)) {
                all.remove(&seen.member.pod_name(&valid.name));
            }
            let announced = seen
                .facts
                .as_ref()
                .and_then(|facts| facts.announced(seen.ports(user)));
            if announced.is_some_and(|address| self.why_not_at(seen, valid, Some(&address)).is_none()) {
                all.remove(&seen.member.pod_name(&valid.name));
            }
        }
        all
    }

    fn is_listed_somewhere(&self, valid: &Valid, member: Member) -> bool {
        let lists = |view: &View| view.lists.as_ref().is_ok_and(|info| lists(info, valid, member));
        self.views.iter().any(lists)
    }

    fn why_not(&self, seen: &Seen, valid: &Valid, user: &UserConfig) -> Option<String> {
        self.why_not_at(seen, valid, seen.advertised(valid, user).as_deref())
    }

    fn why_not_at(&self, seen: &Seen, valid: &Valid, expected: Option<&str>) -> Option<String> {
        if !seen.pod_ready() {
            return Some("its pod is not ready".to_owned());
        }
        if let Answer::No(why) = &seen.answer {
            return Some(why.clone());
        }
        let doubts: Vec<String> = self
            .views
            .iter()
            .filter_map(|view| view.doubt(valid, seen.member, expected))
            .collect();
        (!doubts.is_empty()).then(|| doubts.join(", "))
    }
}

fn lists(info: &ClusterInfo, valid: &Valid, member: Member) -> bool {
    let data = info.brokers.get(&valid.broker_name(member.group));
    data.is_some_and(|data| data.addresses.contains_key(&member.id()))
}

impl View {
    /// Why this name server does not send clients to the broker where it is; `None` if it does.
    fn doubt(&self, valid: &Valid, member: Member, expected: Option<&str>) -> Option<String> {
        let name = &self.name;
        let info = match &self.lists {
            Ok(info) => info,
            Err(why) => return Some(format!("{name} does not tell its brokers ({why})")),
        };
        let data = info.brokers.get(&valid.broker_name(member.group));
        match data.and_then(|data| data.addresses.get(&member.id())) {
            None => Some(format!("not listed by {name}")),
            Some(_) if data.is_some_and(|data| data.cluster != valid.name) => {
                Some(format!("listed by {name} in another cluster"))
            }
            Some(address) if Some(address.as_str()) != expected => Some(format!(
                "listed by {name} at {address} instead of {}",
                expected.unwrap_or("an address of its own")
            )),
            Some(_) => None,
        }
    }
}
