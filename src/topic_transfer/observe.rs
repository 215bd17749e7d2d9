//! What the two clusters say, each broker and each name server for itself.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, FutureExt, join, join_all};

use super::seen::{Cluster, Master, NameServer, Seen, Told, Unknown, retry_topics};
use super::sides::{Place, Places};
use crate::admin::{self, Admin, ClusterInfo, ORDER_TOPICS, Version, confirm};
use crate::broker::ahead;
use crate::broker::backlog::{HALF_TOPIC, REVIVE_TOPIC, Scope, Who, is_consumer, read_some};
use crate::broker::name_servers;

/// What is looked for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The topic.
    pub topic: &'a str,
    /// `spec.consumerGroups`.
    pub groups: Option<&'a [String]>,
    /// Whether masters of the target may still have to get it.
    pub copying: bool,
}

/// Looks at both clusters.
pub async fn observe(places: &Places, wanted: Wanted<'_>, rival: Option<String>) -> Seen {
    let (source, target) = join(
        cluster(places.source.as_ref(), wanted).boxed(),
        cluster(places.target.as_ref(), wanted).boxed(),
    )
    .await;
    let target = match (target, &places.target) {
        (Ok(mut target), Ok(place)) if wanted.copying => {
            read_offsets(&mut target, &*place.admin, wanted.topic).await;
            Ok(target)
        }
        (target, _) => target,
    };
    let source = match (source, &places.source) {
        (Ok(mut source), Ok(place)) => {
            read_backlog(&mut source, &*place.admin, wanted).await;
            Ok(source)
        }
        (source, _) => source,
    };
    Seen {
        source,
        target,
        rival,
    }
}

async fn cluster(place: Result<&Place, &Unknown>, wanted: Wanted<'_>) -> Result<Cluster, Unknown> {
    let place = place.map_err(Clone::clone)?;
    let admin = &*place.admin;
    let asked = place
        .name_servers
        .iter()
        .map(|server| ask(server, admin, wanted.topic).boxed());
    let asked: Vec<BoxFuture<'_, _>> = asked.collect();
    let answers = join_all(asked).await;
    let infos: Vec<_> = answers.iter().filter_map(|(_, info)| info.clone()).collect();
    let name_servers = answers.into_iter().map(|(server, _)| server).collect();
    let mut listed = masters(&place.cluster, &infos);
    for expected in &place.masters {
        let unlisted = || Err("no name server lists it".to_owned());
        listed.entry(expected.clone()).or_insert_with(unlisted);
    }
    let hidden = place
        .name_servers
        .is_empty()
        .then(|| format!("cluster {} has no name servers", place.cluster));
    let looks = listed.into_iter().map(|(broker, address)| {
        async move {
            let master = match address {
                Ok(address) => look(&broker, &address, admin, wanted.topic)
                    .await
                    .map_err(|err| err.to_string()),
                Err(why) => Err(why),
            };
            (broker, master)
        }
        .boxed()
    });
    let looks: Vec<BoxFuture<'_, _>> = looks.collect();
    Ok(Cluster {
        name: place.cluster.clone(),
        name_servers,
        masters: join_all(looks).await.into_iter().collect(),
        hidden,
    })
}

async fn ask(
    server: &name_servers::NameServer,
    admin: &dyn Admin,
    topic: &str,
) -> (NameServer, Option<ClusterInfo>) {
    let answer = match server.address.as_deref() {
        None => Err("its pod has no address".to_owned()),
        Some(address) => told(address, admin, topic).await.map_err(|err| err.to_string()),
    };
    let (tells, info) = match answer {
        Ok((told, info)) => (Ok(told), Some(info)),
        Err(why) => (Err(why), None),
    };
    let server = NameServer {
        name: server.name.clone(),
        address: server.address.clone(),
        tells,
    };
    (server, info)
}

async fn told(address: &str, admin: &dyn Admin, topic: &str) -> Result<(Told, ClusterInfo), admin::Error> {
    let info = admin.cluster_info(address).await?;
    let route = admin.route(address, topic).await?;
    let mut orders = admin.kv_list(address, ORDER_TOPICS).await?;
    let order = orders.remove(topic);
    Ok((Told { route, order }, info))
}

/// The masters of a cluster by what name servers list, which have to agree.
fn masters(cluster: &str, infos: &[ClusterInfo]) -> BTreeMap<String, Result<String, String>> {
    let mut masters: BTreeMap<String, Result<String, String>> = BTreeMap::new();
    for (name, data) in infos.iter().flat_map(|info| &info.brokers) {
        if data.cluster != cluster {
            continue;
        }
        let address = data
            .addresses
            .get(&0)
            .cloned()
            .ok_or_else(|| "it has no master".to_owned());
        let known = masters.entry(name.clone()).or_insert_with(|| address.clone());
        if *known != address {
            *known = Err("name servers do not agree on its address".to_owned());
        }
    }
    let everywhere = |name: &String| infos.iter().all(|info| info.brokers.contains_key(name));
    for (name, address) in &mut masters {
        if !everywhere(name) {
            *address = Err("not every name server lists it".to_owned());
        }
    }
    masters
}

async fn look(broker: &str, address: &str, admin: &dyn Admin, topic: &str) -> Result<Master, admin::Error> {
    confirm(admin, address, broker, 0).await?;
    let mut topics = admin.topics(address).await?;
    let groups = admin.subscription_groups(address).await?;
    let runtime = admin.runtime_info(address).await?;
    let consumers = admin.consumer_groups_of(address, topic).await?;
    Ok(Master {
        address: address.to_owned(),
        topic: topics.topics.remove(topic),
        groups: groups.groups,
        version: runtime.release().unwrap_or(Version::new(4, 5, 0)),
        consumers: consumers.into_iter().filter(|group| is_consumer(group)).collect(),
        ahead: Vec::new(),
        offsets: None,
        facts: None,
    })
}

/// How far consumers are at each master of the target, and who would go on beyond the end of the topic's queues.
async fn read_offsets(target: &mut Cluster, admin: &dyn Admin, topic: &str) {
    for entry in target.masters.values_mut() {
        let Ok(master) = entry else { continue };
        let read = async {
            let offsets = admin.consumer_offsets(&master.address).await?;
            let with = (master.address.as_str(), admin);
            let ahead = ahead::read(&offsets, with, false, &|name| name == topic).await?;
            Ok::<_, admin::Error>((offsets, ahead))
        };
        match read.await {
            // Those of groups that are not there are nobody's, and 5.x does not move them.
            Ok((offsets, mut found)) => {
                found.retain(|ahead| master.groups.contains_key(&ahead.group));
                master.ahead = found;
                master.offsets = Some(offsets);
            }
            Err(err) => *entry = Err(err.to_string()),
        }
    }
}

/// What each master of the source holds. Whose messages are to be retried where is known when all consumers are.
async fn read_backlog(source: &mut Cluster, admin: &dyn Admin, wanted: Wanted<'_>) {
    let consumers = source.answering().flat_map(|(_, master)| master.consumers.iter());
    let groups: BTreeSet<&String> = consumers.chain(wanted.groups.into_iter().flatten()).collect();
    let retries = groups.iter().flat_map(|group| retry_topics(group, wanted.topic));
    let mut counted: BTreeSet<String> = retries.collect();
    counted.extend([
        wanted.topic.to_owned(),
        HALF_TOPIC.to_owned(),
        format!("{REVIVE_TOPIC}{}", source.name),
    ]);
    let (counted, cluster) = (&counted, &source.name);
    let looks = source.answering().map(|(broker, master)| {
        async move {
            let who = Who {
                cluster: cluster.clone(),
                broker_name: broker.clone(),
            };
            // Who consumes where is looked at for all masters together.
            let scope = Scope {
                topics: &|topic| counted.contains(topic),
                elsewhere: &[],
            };
            let facts = read_some(admin, &master.address, &who, scope).await;
            (broker.clone(), facts)
        }
        .boxed()
    });
    let looks: Vec<BoxFuture<'_, _>> = looks.collect();
    for (broker, facts) in join_all(looks).await {
        let Some(entry) = source.masters.get_mut(&broker) else {
            continue;
        };
        match (facts, &mut *entry) {
            (Ok(facts), Ok(master)) => master.facts = Some(facts),
            (Err(err), _) => *entry = Err(err.to_string()),
            (Ok(_), Err(_)) => {}
        }
    }
}
