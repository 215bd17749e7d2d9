//! The start script under every shell that images have: what it passes to the JVM, and how it stops it. Each run has
//! its own process namespace, as in a container.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rocketmq_operator::workload::START_SCRIPT;
use tempfile::TempDir;

/// The shells that images have as `sh`.
const SHELLS: [&[&str]; 3] = [&["dash"], &["busybox", "sh"], &["bash", "--posix"]];

/// A container's file system as the script sees it, with a stand-in for RocketMQ.
struct Container {
    root: TempDir,
}

impl Container {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let container = Self { root };
        for folder in ["rocketmq/run", "config", "home/bin"] {
            fs::create_dir_all(container.path(folder)).unwrap();
        }
        let script = START_SCRIPT
            .replace(
                "base=/rocketmq",
                &format!("base={}", container.path("rocketmq").display()),
            )
            .replace(
                "parts=/etc/rocketmq-operator/config",
                &format!("parts={}", container.path("config").display()),
            );
        fs::write(container.path("start.sh"), script).unwrap();
        // As in the images: a script that starts the JVM as its child and does not pass signals on.
        for (script, class) in [
            ("mqbroker", "broker.BrokerStartup"),
            ("mqnamesrv", "namesrv.NamesrvStartup"),
        ] {
            let text = format!(
                "bash -c 'exec -a /usr/bin/java bash \"$0\" \"$@\"' {jvm} $JAVA_OPT_EXT org.apache.rocketmq.{class} \"$@\"\nexit $?\n",
                jvm = container.path("jvm").display()
            );
            fs::write(container.path("home/bin").join(script), text).unwrap();
        }
        let jvm = format!(
            "cd {out}\nprintf '%s\\n' \"$@\" >arguments.new\nmv arguments.new arguments\n\
             trap 'echo unregistered >stopped; exit 143' TERM\nwhile :; do read -r -t 1 <> <(:) || true; done\n",
            out = container.root.path().display()
        );
        fs::write(container.path("jvm"), jvm).unwrap();
        container
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn part(&self, name: &str, text: &str) -> &Self {
        fs::write(self.path("config").join(name), text).unwrap();
        self
    }

    fn command(&self, shell: &[&str], arguments: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"])
            .args(shell);
        command.arg(self.path("start.sh")).args(arguments);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap());
        command.env("ROCKETMQ_HOME", self.path("home"));
        command
            .env("NAMESRV_ADDR", "ns-0:9876;ns-1:9876")
            .env("ROCKETMQ_LIVE_CONFIG", "brokerPermission=4\n")
            .env("ROCKETMQ_ADVERTISED_ADDRESS", "198.19.0.9");
        command.envs(env.iter().copied()).stdin(Stdio::null());
        command
    }

    fn start(&self, shell: &[&str], role: &str, env: &[(&str, &str)]) -> Running<'_> {
        let child = self
            .command(shell, &[role], env)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let running = Running {
            container: self,
            child,
        };
        running.wait_for("arguments");
        running
    }
}

struct Running<'a> {
    container: &'a Container,
    child: Child,
}

impl Running<'_> {
    fn wait_for(&self, file: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.container.path(file).exists() {
            assert!(Instant::now() < deadline, "{file} did not appear");
            std::thread::yield_now();
        }
    }

    fn arguments(&self) -> Vec<String> {
        fs::read_to_string(self.container.path("arguments"))
            .unwrap()
            .lines()
            .map(ToOwned::to_owned)
            .collect()
    }

    /// The process that is number 1 in its namespace.
    fn first_process(&self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        fs::read_to_string(children)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    fn stop(mut self) -> Option<i32> {
        let first = self.first_process().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &first])
                .status()
                .unwrap()
                .success()
        );
        self.wait_for("stopped");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value the JVM takes: of equal options the last.
fn option<'a>(arguments: &'a [String], prefix: &str) -> Option<&'a str> {
    arguments
        .iter()
        .rev()
        .find_map(|argument| argument.strip_prefix(prefix))
}

fn run(container: &Container, shell: &[&str], arguments: &[&str], env: &[(&str, &str)]) -> Output {
    container.command(shell, arguments, env).output().unwrap()
}

#[test]
fn a_sigterm_reaches_the_jvm_behind_the_images_own_scripts() {
    for shell in SHELLS {
        for role in ["broker", "namesrv"] {
            let container = Container::new();
            let running = container.start(shell, role, &[]);
            let start = std::time::Instant::now();
            let code = running.stop();
            assert_eq!(code, Some(143), "{shell:?} {role}: the JVM's own exit code");
            let serves_on = start.elapsed() >= std::time::Duration::from_secs(3);
            assert!(
                serves_on || role == "broker",
                "{shell:?}: nodes still send clients to it"
            );
        }
    }
}

#[test]
fn the_users_jvm_options_beat_the_images_variables_which_beat_what_is_computed() {
    let layers = [
        ("JAVA_OPT_EXT", "-Xmx300m"),
        ("BROKER_MEM", " -Xms400m -Xmx400m "),
        ("ROCKETMQ_JVM_OPTIONS", "-Xms500m -Xmx500m"),
    ];
    for shell in SHELLS {
        for (count, expected) in [(1, "300m"), (2, "400m"), (3, "500m")] {
            let container = Container::new();
            let running = container.start(shell, "broker", &layers[..count]);
            let arguments = running.arguments();
            assert_eq!(
                option(&arguments, "-Xmx"),
                Some(expected),
                "{shell:?}: {arguments:?}"
            );
            assert_eq!(
                option(&arguments, "-Xms"),
                Some(expected),
                "{shell:?}: {arguments:?}"
            );
        }
    }
}

#[test]
fn without_a_users_options_heap_and_direct_memory_are_computed_and_fit_together() {
    let mib = |text: Option<&str>| text.unwrap().trim_end_matches('m').parse::<u64>().unwrap();
    for shell in SHELLS {
        let container = Container::new();
        let arguments = container.start(shell, "broker", &[]).arguments();
        let (heap, young) = (mib(option(&arguments, "-Xmx")), mib(option(&arguments, "-Xmn")));
        assert_eq!(option(&arguments, "-Xms"), option(&arguments, "-Xmx"));
        assert!(
            young < heap && mib(option(&arguments, "-XX:MaxDirectMemorySize=")) >= 64,
            "{arguments:?}"
        );
        assert!(option(&arguments, "-Duser.home=").is_some_and(|home| Path::new(home).ends_with("rocketmq")));
        assert_eq!(option(&arguments, "-Dsun.net.inetaddr.ttl="), Some("5"));
    }
}

#[test]
fn the_configuration_is_joined_in_order_with_blank_lines_between() {
    for shell in SHELLS {
        let container = Container::new();
        container
            .part("10-defaults.conf", "a=1\n")
            .part("20-common.conf", "b=open\\")
            .part("40-identity.conf", "brokerId=0\n");
        let running = container.start(shell, "broker", &[]);
        let joined = fs::read_to_string(container.path("rocketmq/run/broker.conf")).unwrap();
        assert_eq!(
            joined,
            "brokerIP1=198.19.0.9\nbrokerIP2=198.19.0.9\n\n\na=1\n\n\nb=open\\\n\nbrokerId=0\n\n\nbrokerPermission=4\n\nnamesrvAddr=ns-0:9876;ns-1:9876\n"
        );
        let arguments = running.arguments();
        assert!(
            arguments
                .windows(2)
                .any(|pair| pair[0] == "-c" && pair[1].ends_with("broker.conf")),
            "{arguments:?}"
        );
    }
}

#[test]
fn an_image_that_is_not_rocketmq_is_named_instead_of_looping_silently() {
    let container = Container::new();
    fs::remove_file(container.path("home/bin/mqbroker")).unwrap();
    for shell in SHELLS {
        let output = run(&container, shell, &["broker"], &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("has no") && said.contains("bin/mqbroker"),
            "{said}"
        );
    }
}

#[test]
fn data_folders_of_a_node_are_given_to_the_user_that_is_asked_for() {
    for shell in SHELLS {
        let container = Container::new();
        fs::create_dir_all(container.path("rocketmq/store/commitlog")).unwrap();
        let output = run(&container, shell, &["own", "3000:3001"], &[]);
        assert!(output.status.success(), "{output:?}");
        let owner = Command::new("stat")
            .args(["-c", "%u:%g"])
            .arg(container.path("rocketmq/store/commitlog"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&owner.stdout).trim(), "3000:3001");
        let run_folder = Command::new("stat")
            .args(["-c", "%u"])
            .arg(container.path("rocketmq/run"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&run_folder.stdout).trim(), "0");
    }
}
