//! What there was before: StatefulSets of a `Broker` tell what its status does not, where the Go operator made them or the
//! status was lost.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;

use super::children;
use super::valid::{Member, Shape, Valid};
use crate::context::{self, Context};
use crate::k8s::labels::TAKEN_OVER;
use crate::workload::set;

impl Valid {
    /// The same, with what the StatefulSets that are there tell: whether the Go operator made the cluster, what runs if the
    /// status does not say so, and what runs that nobody asks for.
    #[must_use]
    pub fn knowing(mut self, ctx: &Context) -> Self {
        let found = Found::look(&self, ctx);
        self.taken_over = found.taken_over;
        if self.accepted.is_none() && found.groups > 0 {
            let accepted = Shape {
                groups: found.groups,
                replicas: found.replicas,
            };
            self.accepted = Some(accepted);
            self.shape = Shape {
                groups: accepted.groups.max(self.asked.groups),
                replicas: accepted.replicas.max(self.asked.replicas),
            };
        }
        self.withdrawn(&found);
        let unasked =
            |member: &Member| member.group >= self.shape.groups || member.replica > self.shape.replicas;
        self.leftovers = found.members.into_iter().filter(unasked).collect();
        self
    }
}

impl Valid {
    /// What we made and nobody asks for any more before the status said that it is there: it leaves as what was there longer.
    fn withdrawn(&mut self, found: &Found) {
        let Some(accepted) = &mut self.accepted else {
            return;
        };
        let mut groups = accepted.groups;
        while found.noted.contains(&Member {
            group: groups,
            replica: 0,
        }) {
            groups += 1;
        }
        if groups > self.shape.groups {
            (accepted.groups, self.shape.groups) = (groups, groups);
        }
        let noted = found.noted.iter().filter(|member| member.group < groups);
        let replicas = noted.map(|member| member.replica).max().unwrap_or_default();
        if replicas > self.shape.replicas {
            (accepted.replicas, self.shape.replicas) = (replicas, replicas);
        }
    }
}

/// The StatefulSets of a `Broker`, found by their names: group by group, replica by replica, as long as there are any.
#[derive(Default)]
struct Found {
    members: Vec<Member>,
    /// Those that we made, or took over.
    noted: Vec<Member>,
    groups: i32,
    replicas: i32,
    taken_over: bool,
}

impl Found {
    fn look(valid: &Valid, ctx: &Context) -> Self {
        let mut found = Self::default();
        for group in 0.. {
            let sets: Vec<_> = (0..)
                .map_while(|replica| {
                    let member = Member { group, replica };
                    // A gap among those that are asked for is one that is to be made.
                    match set_of(valid, ctx, member) {
                        None if replica <= valid.shape.replicas => Some((member, None)),
                        None => None,
                        found => Some((member, found)),
                    }
                })
                .filter_map(|(member, set)| Some((member, set?)))
                .collect();
            if sets.is_empty() && group >= valid.shape.groups {
                break;
            }
            for (member, set) in sets {
                found.groups = found.groups.max(group + 1);
                found.replicas = found.replicas.max(member.replica);
                found.taken_over |= set::is_unnoted(&set) || set.annotations().contains_key(TAKEN_OVER);
                found.members.push(member);
                if !set::is_unnoted(&set) {
                    found.noted.push(member);
                }
            }
        }
        let list = context::get(
            &ctx.stores.config_maps,
            &valid.target.namespace,
            &children::name_servers_name(valid),
        );
        found.taken_over |= list.is_some_and(|map| map.annotations().contains_key(TAKEN_OVER));
        found
    }
}

fn set_of(valid: &Valid, ctx: &Context, member: Member) -> Option<Arc<StatefulSet>> {
    let name = member.name(&valid.name);
    context::get(&ctx.stores.stateful_sets, &valid.target.namespace, &name)
        .filter(|set| valid.target.owns(&set.metadata))
}
