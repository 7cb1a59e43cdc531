//! What is behind persistent volume claims, from the API server.
//!
//! A volume of a pod keeps what is behind it as long as the pod lives, so each is looked up once; what belongs to pods that are
//! gone is forgotten.

use std::collections::HashMap;

use serde::Deserialize;

use crate::config::is_name;
use crate::pods::{Disk, Glusterfs, Pods, VolumeKind};
use crate::request::{Deadline, Outcome, RequestError, Server, Subject};
use crate::summary::Summary;

/// Most claims that are looked up in one scrape; the others wait for the next one.
pub const MAX_LOOKUPS: usize = 64;

/// Kinds by pod UID, then by name of the volume.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    by_pod: HashMap<String, HashMap<String, VolumeKind>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Claim {
    spec: ClaimSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec {
    volume_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Volume {
    spec: VolumeSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeSpec {
    local: Option<serde::de::IgnoredAny>,
    aws_elastic_block_store: Option<Disk>,
    gce_persistent_disk: Option<Disk>,
    glusterfs: Option<Glusterfs>,
}

impl VolumeSpec {
    /// Where upstream has no word for it, it stays a claim.
    fn kind(self) -> VolumeKind {
        self.local
            .map(|_| VolumeKind::Local)
            .or_else(|| self.aws_elastic_block_store.map(VolumeKind::AwsElasticBlockStore))
            .or_else(|| self.gce_persistent_disk.map(VolumeKind::GcePersistentDisk))
            .or_else(|| self.glusterfs.map(VolumeKind::Glusterfs))
            .unwrap_or(VolumeKind::Claim)
    }
}

impl Claims {
    /// What is behind a claim, as far as it is known.
    pub(crate) fn get(&self, pod_uid: &str, volume: &str) -> Option<&VolumeKind> {
        self.by_pod.get(pod_uid)?.get(volume)
    }

    /// Looks up what is not known yet. Returns how each request ended; a failure that would hit every other one ends it early.
    pub(crate) async fn update(
        &mut self,
        summary: &Summary<'_>,
        pods: &Pods<'_>,
        api: &Server,
        deadline: Deadline,
    ) -> Vec<Result<Subject, RequestError>> {
        let of_summary = || summary.pods.iter().flatten();
        self.by_pod.retain(|uid, _| of_summary().any(|pod| pod.pod_ref.uid == uid.as_str()));
        let mut ended = Vec::new();
        let mut n_lookups = 0;
        for pod in of_summary() {
            let Some(known) = pods.get(&pod.pod_ref.uid) else { continue };
            for volume in pod.volumes.iter().flatten() {
                let Some((VolumeKind::Claim, Some(claim))) = known.volume(&volume.name) else { continue };
                let is_known = self.get(&pod.pod_ref.uid, &volume.name).is_some();
                if is_known || !is_name(claim) || !is_name(&pod.pod_ref.namespace) {
                    continue;
                }
                if n_lookups == MAX_LOOKUPS {
                    return ended;
                }
                n_lookups += 1;
                match look_up(&pod.pod_ref.namespace, claim, api, deadline, &mut ended).await {
                    Ok(Some(kind)) => {
                        let of_pod = self.by_pod.entry(pod.pod_ref.uid.to_string()).or_default();
                        of_pod.insert(volume.name.to_string(), kind);
                    }
                    // Not bound yet.
                    Ok(None) => {}
                    Err(failed) => {
                        let is_only_this = failed.status == Some(404) || failed.outcome == Outcome::Malformed;
                        ended.push(Err(failed));
                        if !is_only_this {
                            return ended;
                        }
                    }
                }
            }
        }
        ended
    }
}

async fn look_up(
    namespace: &str,
    claim: &str,
    api: &Server,
    deadline: Deadline,
    ended: &mut Vec<Result<Subject, RequestError>>,
) -> Result<Option<VolumeKind>, RequestError> {
    let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}");
    let body = api.get(Subject::Claim, &path, deadline).await?;
    let claim: Claim = serde_json::from_slice(&body)
        .map_err(|error| api.malformed(Subject::Claim, &path, body.len(), error))?;
    ended.push(Ok(Subject::Claim));
    if !is_name(&claim.spec.volume_name) {
        return Ok(None);
    }
    let path = format!("/api/v1/persistentvolumes/{}", claim.spec.volume_name);
    let body = api.get(Subject::Volume, &path, deadline).await?;
    let volume: Volume = serde_json::from_slice(&body)
        .map_err(|error| api.malformed(Subject::Volume, &path, body.len(), error))?;
    ended.push(Ok(Subject::Volume));
    Ok(Some(volume.spec.kind()))
}
