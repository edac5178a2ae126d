//! The container image: the users' Dockerfile, built on only Debian's C library, and its entry point
//! started in the result.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{release, rootfs, schema, trial};
use crate::run::{quietly, run};

/// The largest size of an unpacked image.
const MOST_BYTES: u64 = 40_000_000;

/// Builds the image and starts it.
pub(crate) fn check(root: &Path) -> Result<()> {
    let folder = root.join("target/deploy/image");
    rootfs::remove(&folder)?;
    fs::create_dir_all(&folder).context("cannot make a folder")?;
    let buildah = Buildah { storage: folder.join("storage"), run: folder.join("run") };

    // In place of the distroless base: the package of the C library.
    let libc = folder.join("libc");
    rootfs::unpacked(root, "libc6", &libc)?;
    let container = buildah.output(&["from", "scratch"])?;
    buildah.output(&["copy", "--quiet", &container, &libc.display().to_string(), "/"])?;
    buildah.output(&["commit", "--quiet", &container, "localhost/libc"])?;

    // In place of the stage that compiles: its output.
    let built = folder.join("built");
    fs::create_dir_all(built.join("etc")).context("cannot make a folder")?;
    let base = rootfs::base(root)?.join("etc");
    let list = ["ld.so.cache", "ld.so.conf", "ld.so.conf.d"].map(|name| base.join(name));
    run(Command::new("cp").arg("--archive").args(list).arg(built.join("etc")))?;
    run(Command::new("cp")
        .arg(release::binary(root, release::X86_64))
        .arg(built.join("heatsink")))?;

    let dockerfile = root.join("deploy/docker/Dockerfile");
    let context = format!("--build-context=build={}", built.display());
    let stand_ins: [&str; 2] = ["--build-arg=BASE=localhost/libc", &context];
    buildah.build(root, &dockerfile, "localhost/heatsink", &stand_ins)?;

    let config =
        Config::of(&buildah.output(&["inspect", "--type=image", "localhost/heatsink"])?)?;
    ensure!(config.user == "65532:65532", "it would run as `{}`", config.user);
    for variable in ["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=utility"] {
        ensure!(config.environment.contains(&variable.to_owned()), "it lacks {variable}");
    }

    // As docs/gpu-operator.md builds it.
    let as_root = [&stand_ins[..], &["--build-arg=USER=0:0"]].concat();
    buildah.build(root, &dockerfile, "localhost/heatsink-root", &as_root)?;
    let inspected = buildah.output(&["inspect", "--type=image", "localhost/heatsink-root"])?;
    let user = Config::of(&inspected)?.user;
    ensure!(user == "0:0", "with --build-arg USER=0:0 it would run as `{user}`");

    let container = buildah.output(&["from", "localhost/heatsink"])?;
    let unpacked = PathBuf::from(buildah.output(&["mount", &container])?);
    let bytes = quietly(Command::new("du").args(["--bytes", "--summarize"]).arg(&unpacked))?;
    let bytes: u64 = bytes.split_whitespace().next().unwrap_or("").parse().context("du")?;
    println!("the image has {:.1} MB, unpacked", bytes as f64 / 1e6);
    ensure!(bytes <= MOST_BYTES, "more than {} MB", MOST_BYTES / 1_000_000);

    trial::with_driver(root, &unpacked)?;
    let mut line = config.entry_point;
    line.extend(["--extra-collectors=monitoring", "--kernel-log=none"].map(str::to_owned));
    let environment = config.environment.iter().filter_map(|variable| variable.split_once('='));
    let environment: Vec<(String, String)> =
        environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    trial::serves(&unpacked, 65532, &environment, &line)?;
    buildah.output(&["unmount", &container])?;
    compiles(root, &buildah)
}

/// Whether the build context, without the files in Dockerfile.dockerignore, compiles.
fn compiles(root: &Path, buildah: &Buildah) -> Result<()> {
    let folder = root.join("target/deploy/image");
    let dockerfile = folder.join("Everything");
    fs::write(&dockerfile, "FROM scratch\nCOPY . /\n").context("cannot write")?;
    buildah.build(root, &dockerfile, "localhost/sources", &[])?;
    let container = buildah.output(&["from", "localhost/sources"])?;
    let sources = buildah.output(&["mount", &container])?;
    let check = ["check", "--quiet", "--locked", "--package", "heatsink", "--bin", "heatsink"];
    run(Command::new("cargo")
        .args(check)
        .env("CARGO_TARGET_DIR", root.join("target/deploy/sources"))
        .current_dir(sources))?;
    buildah.output(&["unmount", &container])?;
    rootfs::remove(&folder)?;
    println!("the build context compiles");
    Ok(())
}

/// Checks that the compose files are valid and that the files that they mount exist.
pub(crate) fn check_compose(root: &Path) -> Result<()> {
    let folder = root.join("deploy/docker");
    let files = ["compose.yaml", "compose.gpu.yaml"].map(|name| folder.join(name));
    schema::check(root, "compose", &files)?;
    quietly(
        Command::new("promtool").args(["check", "config", "prometheus.yml"]).current_dir(&folder),
    )?;
    quietly(
        Command::new("amtool").args(["check-config", "alertmanager.yml"]).current_dir(&folder),
    )?;
    let compose = fs::read_to_string(&files[0]).context("cannot read compose.yaml")?;
    let sources = mounted(&compose);
    ensure!(sources.len() >= 5, "compose.yaml mounts only {sources:?}");
    for source in sources {
        ensure!(folder.join(source).exists(), "compose.yaml mounts {source}, which is not there");
    }
    Ok(())
}

/// The files and folders of this repository that a compose file mounts.
fn mounted(compose: &str) -> Vec<&str> {
    let items = compose.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let of_repository = items.filter(|item| item.starts_with('.'));
    of_repository.filter_map(|item| item.split(':').next()).collect()
}

/// buildah, with its storage in a folder and without a container engine.
struct Buildah {
    storage: PathBuf,
    run: PathBuf,
}

impl Buildah {
    /// Builds an image from the repository, without the files in Dockerfile.dockerignore.
    fn build(&self, root: &Path, dockerfile: &Path, tag: &str, more: &[&str]) -> Result<()> {
        let ignored = root.join("deploy/docker/Dockerfile.dockerignore");
        let ignored = format!("--ignorefile={}", ignored.display());
        let file = format!("--file={}", dockerfile.display());
        let mut arguments = vec!["bud", "--quiet", "--isolation=chroot", "--tag", tag];
        arguments.extend([ignored.as_str(), &file]);
        arguments.extend(more);
        let root = root.display().to_string();
        arguments.push(&root);
        self.output(&arguments).map(drop)
    }

    fn output(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(&self.storage).arg("--runroot").arg(&self.run);
        command.arg("--storage-driver=vfs").args(arguments);
        Ok(quietly(&mut command)?.trim().to_owned())
    }
}

/// The configuration of an image.
struct Config {
    user: String,
    environment: Vec<String>,
    entry_point: Vec<String>,
}

impl Config {
    fn of(inspected: &str) -> Result<Self> {
        let inspected: Value = serde_json::from_str(inspected).context("buildah inspect")?;
        let config = &inspected["OCIv1"]["config"];
        let texts = |value: &Value| -> Vec<String> {
            let items = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            items.map(str::to_owned).collect()
        };
        let entry_point = texts(&config["Entrypoint"]);
        ensure!(!entry_point.is_empty(), "the image has no entry point: {config}");
        ensure!(texts(&config["Cmd"]).is_empty(), "the image has default arguments: {config}");
        let user = config["User"].as_str().unwrap_or("").to_owned();
        Ok(Self { user, environment: texts(&config["Env"]), entry_point })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_repository_files_are_found() {
        let compose = "volumes:\n  - ./a.yml:/etc/a.yml:ro\n  - ../../b:/b\n  - data:/data\n";
        assert_eq!(mounted(compose), ["./a.yml", "../../b"]);
    }

    #[test]
    fn the_configuration_of_an_image_is_read() {
        let inspected = r#"{"OCIv1": {"config": {"User": "1:1", "Env": ["A=1"],
            "Entrypoint": ["/usr/bin/heatsink"]}}}"#;
        let config = Config::of(inspected).unwrap();
        assert_eq!((&*config.user, &*config.entry_point[0]), ("1:1", "/usr/bin/heatsink"));
        assert!(Config::of(r#"{"OCIv1": {"config": {}}}"#).is_err());
    }
}
