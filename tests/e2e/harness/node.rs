//! What only the node can do: it is this machine, and the tests are root on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::cluster::{Cluster, name_of, text};

/// A process of a pod, seen from the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process(u32);

impl Process {
    /// `VmRSS` of the process, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("the process lives");
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .expect("VmRSS");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Its command line, in words.
    pub fn command(&self) -> String {
        let command = fs::read(format!("/proc/{}/cmdline", self.0)).unwrap_or_default();
        String::from_utf8_lossy(&command).replace('\0', " ")
    }

    /// Its root directory, its pod's volumes included.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.0))
    }

    /// Sends a signal by its name, as `KILL` or `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.0.to_string()])
            .status()
            .unwrap();
        assert!(sent.success(), "kill -{name} {} failed", self.0);
    }

    /// Whether it is there and not a zombie.
    pub fn lives(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }
}

/// The processes of a pod whose executable has this name.
pub fn processes(pod_uid: &str, executable: &str) -> Vec<Process> {
    assert!(!pod_uid.is_empty(), "a pod without a UID");
    // With the systemd driver the UID is written with underscores.
    let spellings = [pod_uid.to_owned(), pod_uid.replace('-', "_")];
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        spellings.iter().any(|uid| cgroup.contains(uid))
            && exe.file_name().is_some_and(|name| name == executable)
    })
    .map(Process)
    .collect()
}

/// The JVM of a name server's or a broker's pod; a tool's that runs beside it is not meant.
///
/// # Errors
/// When there is none yet.
pub fn jvm(pod: &Value) -> Result<Process, String> {
    let found = processes(super::cluster::uid_of(pod), "java");
    let server = found.into_iter().find(|process| {
        let command = process.command();
        command.contains(".BrokerStartup") || command.contains(".NamesrvStartup")
    });
    server.ok_or_else(|| format!("{} runs no JVM", name_of(pod)))
}

/// A frozen process, which is thawed when this is dropped.
#[derive(Debug)]
pub struct Frozen(Process);

impl Frozen {
    /// Stops a process where it is. Its connections stay, and the kernel still accepts new ones for it.
    pub fn freeze(process: Process) -> Self {
        process.signal("STOP");
        Self(process)
    }

    /// Lets it run again.
    pub fn thaw(self) {
        drop(self);
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if self.0.lives() {
            // It may have ended between the two.
            let _sent = Command::new("kill")
                .args(["-CONT", &self.0.0.to_string()])
                .status();
        }
    }
}

/// Where the volume of a claim lies on this machine.
pub async fn volume(cluster: &Cluster, namespace: &str, claim: &str) -> PathBuf {
    let claim = cluster
        .get("PersistentVolumeClaim", namespace, claim)
        .await
        .expect(claim);
    let volume = cluster
        .get("PersistentVolume", "", text(&claim, "/spec/volumeName"))
        .await
        .expect("a bound volume");
    let path = ["/spec/hostPath/path", "/spec/local/path"]
        .map(|p| text(&volume, p))
        .concat();
    assert!(
        Path::new(&path).is_dir(),
        "{} is not a directory of this machine: {path:?}",
        name_of(&volume)
    );
    PathBuf::from(path)
}

/// Every file of this name below a directory.
pub fn files_named(directory: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        // A directory may go while we look; what is not there holds no such file.
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if entry.file_name() == name {
                found.push(path);
            }
        }
    }
    found
}

/// Whether a pod says that it is ready and is not going.
pub fn is_ready(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp").is_none()
        && super::cluster::condition(Some(pod), "Ready").status == "True"
}
