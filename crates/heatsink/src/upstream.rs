//! dcgm-exporter's flags that do nothing here yet: accepted, so that its manifests start heatsink
//! too, and named in the log, so that no user waits for what does not come.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::{cli, settings};

/// A flag of dcgm-exporter, and what it is without effect on.
struct Flag {
    long: &'static str,
    short: Option<char>,
    env: &'static str,
    takes: Takes,
    /// What a user would miss.
    about: About,
}

enum Takes {
    Bool,
    Value,
}

enum About {
    /// Not served: said as a warning.
    Missing(&'static str),
    /// Nothing would be different here: not worth a word.
    Nothing,
    /// Going on without it would be wrong: an error.
    Refused(&'static str),
}

const fn flag(
    long: &'static str,
    short: Option<char>,
    env: &'static str,
    takes: Takes,
    about: About,
) -> Flag {
    Flag { long, short, env, takes, about }
}

#[rustfmt::skip]
const FLAGS: &[Flag] = {
    use About::{Missing, Nothing, Refused};
    use Takes::{Bool, Value};
    const PODS: About = Missing("pod labels");
    &[
        flag("kubernetes",                           Some('k'), "DCGM_EXPORTER_KUBERNETES",                           Bool,  PODS),
        flag("kubernetes-enable-pod-labels",         None,      "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS",         Bool,  PODS),
        flag("kubernetes-enable-pod-uid",            None,      "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID",            Bool,  PODS),
        flag("kubernetes-gpu-id-type",               None,      "DCGM_EXPORTER_KUBERNETES_GPU_ID_TYPE",               Value, Nothing),
        flag("kubernetes-pod-label-allowlist-regex", None,      "DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX", Value, PODS),
        flag("kubernetes-virtual-gpus",              None,      "KUBERNETES_VIRTUAL_GPUS",                            Bool,  PODS),
        flag("kubernetes-enable-dra",                None,      "KUBERNETES_ENABLE_DRA",                              Bool,  PODS),
        flag("pod-resources-kubelet-socket",         None,      "DCGM_POD_RESOURCES_KUBELET_SOCKET",                  Value, Nothing),
        flag("nvidia-resource-names",                None,      "NVIDIA_RESOURCE_NAMES",                              Value, Nothing),
        flag("configmap-data",                       Some('m'), "DCGM_EXPORTER_CONFIGMAP_DATA",                       Value, Missing("counters from a ConfigMap; mount it and name the file with -f")),
        flag("web-config-file",                      None,      "DCGM_EXPORTER_WEB_CONFIG_FILE",                      Value, Refused("TLS and passwords are not served yet; without them the page would be open to all")),
        flag("hpc-job-mapping-dir",                  None,      "DCGM_HPC_JOB_MAPPING_DIR",                           Value, Missing("label hpc_job")),
        flag("dump-enabled",                         None,      "DCGM_EXPORTER_DUMP_ENABLED",                         Bool,  Missing("dumps")),
        flag("dump-directory",                       None,      "DCGM_EXPORTER_DUMP_DIRECTORY",                       Value, Nothing),
        flag("dump-retention",                       None,      "DCGM_EXPORTER_DUMP_RETENTION",                       Value, Nothing),
        flag("dump-compression",                     None,      "DCGM_EXPORTER_DUMP_COMPRESSION",                     Bool,  Nothing),
        flag("disable-startup-validate",             None,      "DISABLE_STARTUP_VALIDATE",                           Bool,  Nothing),
        flag("enable-gpu-bind-unbind-watch",         None,      "DCGM_EXPORTER_ENABLE_GPU_BIND_UNBIND_WATCH",         Bool,  Nothing),
        flag("gpu-bind-unbind-poll-interval",        None,      "DCGM_EXPORTER_GPU_BIND_UNBIND_POLL_INTERVAL",        Value, Nothing),
        flag("health-require-gpus",                  None,      "DCGM_EXPORTER_HEALTH_REQUIRE_GPUS",                  Bool,  Nothing),
        flag("enable-pprof",                         None,      "DCGM_EXPORTER_ENABLE_PPROF",                         Bool,  Nothing),
    ]
};

/// The flags of this table that were given.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    /// One line for each that a user would miss.
    pub(crate) missing: Vec<String>,
    /// One line for each that cannot be done without.
    pub(crate) refused: Vec<String>,
}

impl Args for Upstream {
    fn augment_args(command: Command) -> Command {
        FLAGS.iter().fold(command, |command, flag| {
            let mut arg = Arg::new(flag.long)
                .long(flag.long)
                .env(flag.env)
                .action(ArgAction::Set)
                .value_parser(cli::text())
                .allow_hyphen_values(true)
                .hide(true);
            if let Some(short) = flag.short {
                arg = arg.short(short);
            }
            if let Takes::Bool = flag.takes {
                arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Upstream {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut upstream = Self::default();
        upstream.update_from_arg_matches(matches)?;
        Ok(upstream)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for flag in FLAGS {
            let value = matches.get_one::<String>(flag.long).map_or("", String::as_str);
            // What says "as always" asks for nothing.
            let as_always = match flag.takes {
                Takes::Bool => settings::truth(value) == Some(false),
                // For devices, "f" is whatever there is.
                Takes::Value => matches!(value, "none" | "f"),
            };
            if as_always || value.is_empty() {
                continue;
            }
            let name = settings::name::<Self>(flag.long);
            match flag.about {
                About::Missing(what) => {
                    self.missing.push(format!("{name} has no effect yet: no {what}"));
                }
                About::Refused(why) => self.refused.push(format!("{name}: {why}")),
                About::Nothing => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    fn given(line: &str) -> super::Upstream {
        Cli::try_parse_from(line.split(' ')).unwrap().serve.upstream
    }

    #[test]
    fn manifests_of_dcgm_exporter_start_heatsink() {
        let line = "dcgm-exporter -k -o=false -p f --kubernetes-gpu-id-type uid -x 300000 \
                    -r localhost:5555 -m none";
        let upstream = given(line);
        assert_eq!(upstream.missing.len(), 1, "{:?}", upstream.missing);
        assert!(
            upstream.missing[0]
                .starts_with("-k, --kubernetes (DCGM_EXPORTER_KUBERNETES) has no effect yet")
        );
        assert!(upstream.refused.is_empty());
    }

    #[test]
    fn no_is_no_wish() {
        for no in ["false", "F", "0", "no", "Off", ""] {
            let upstream = given(&format!("heatsink --kubernetes={no}"));
            assert!(upstream.missing.is_empty(), "{no}: {:?}", upstream.missing);
        }
    }

    #[test]
    fn a_wish_for_tls_is_not_passed_over() {
        assert_eq!(given("heatsink --web-config-file x.yml").refused.len(), 1);
    }
}
