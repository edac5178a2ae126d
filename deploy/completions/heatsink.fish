# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_heatsink_global_optspecs
    string join \n f/collectors= extra-collectors= metric-names= a/address= web-systemd-socket= c/collect-interval= n/no-hostname= d/devices= s/switch-devices= p/cpu-devices= compute-instances= o/use-old-namespace= window= x/xid-count-window-size= clock-events-count-window-size= kernel-log= expected-gpus= forget-missing= fail-health-after-driver-upgrade= replace-blanks-in-model-name= log-format= debug= k/kubernetes= kubernetes-enable-pod-labels= kubernetes-enable-pod-uid= kubernetes-gpu-id-type= kubernetes-pod-label-allowlist-regex= kubernetes-virtual-gpus= kubernetes-enable-dra= pod-resources-kubelet-socket= nvidia-resource-names= m/configmap-data= web-config-file= hpc-job-mapping-dir= dump-enabled= dump-directory= dump-retention= dump-compression= disable-startup-validate= enable-gpu-bind-unbind-watch= gpu-bind-unbind-poll-interval= health-require-gpus= enable-pprof= source= nvml-library= path.rootfs= dcgm-library= r/remote-hostengine-info= fake-gpus= enable-dcgm-log= dcgm-log-level= sim-scenario= sim-gpus= sim-seed= sim-at= speed= h/help V/version
end

function __fish_heatsink_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_heatsink_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_heatsink_using_subcommand
    set -l cmd (__fish_heatsink_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c heatsink -n "__fish_heatsink_needs_command" -s f -l collectors -d 'Fields to serve: a counters file with one `NAME, type, help[, interval]` per line, or one of the built-in sets `default`, `all`, `minimal`, `1.x` [default: default]' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l extra-collectors -d 'A second counters file: adds its rows, and replaces rows of the same name; the built-in `machine` adds NVSwitches and CPUs, which DCGM reads; `monitoring` adds what the shipped alert rules and dashboards use beyond `default`' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l metric-names -d 'Generation of metric names: those of dcgm-exporter `4.8`, `4.8.2` or `4.9`, or `both`, 4.8\'s and 4.9\'s side by side [default: 4.8; a counters file keeps the names in it]' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s a -l address -d 'Address to listen on: `:9400`, `127.0.0.1:9400`, `[::1]:9400`' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l web-systemd-socket -d 'Listen only on the socket that systemd passes; without this flag, --address is used if systemd passes none' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s c -l collect-interval -d 'Milliseconds from one reading to the next' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s n -l no-hostname -d 'Leave out the label `hostname`' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s d -l devices -d 'Devices to serve: `f`, the MIG instances of a GPU that has some, else the GPU; `g`, whole GPUs; `i`, instances; `g+i`, both; a selection as in `g:0,2-4` or `i:8`, where 8 is instance 1 of GPU 1 if each GPU can have seven' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s s -l switch-devices -d 'NVSwitches to serve, and their NVLinks, with DCGM: `f`, all; `g`, switches; `i`, links; `g+i`, both; a selection as in `g:0,2-4`' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s p -l cpu-devices -d 'CPUs to serve, and their cores, with DCGM: `f`, all; `g`, CPUs; `i`, cores; `g+i`, both; a selection as in `i:0-15`' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l compute-instances -d 'Also serve MIG compute instances, with the label `GPU_CI_ID`' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s o -l use-old-namespace -d 'Write the label `UUID` as `uuid`, as before dcgm-exporter 2' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l window -d 'Length of the window whose minimum, mean and maximum are served, so that no peak between two scrapes is lost: longer than the scrape interval, up to 1h; `0` for none' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s x -l xid-count-window-size -d 'Milliseconds over which DCGM_EXP_XID_ERRORS_COUNT counts' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l clock-events-count-window-size -d 'Milliseconds over which DCGM_EXP_CLOCK_EVENTS_COUNT counts' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l kernel-log -d 'Log to read XIDs from: `kmsg`, /dev/kmsg; `journal`, the files of systemd\'s journal; `auto`, the first of the two that can be read; a file in the format of kmsg or syslog, or a folder of a journal; `none`, only the driver\'s events, which lack XIDs 79, 119, 120 and a few more' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l expected-gpus -d 'Number of GPUs that this machine should have, served as `heatsink_gpus_expected`, so that an alert can tell when one is missing even from the PCI bus' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l forget-missing -d 'How long a missing GPU is served as missing; `0` for ever. SIGHUP forgets it at once' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l fail-health-after-driver-upgrade -d 'Let /health fail when the driver was upgraded and the driver library, as in a container, has not fitted the kernel module for a minute: a liveness probe then restarts the container' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l replace-blanks-in-model-name -l rbmn -d 'Write model names with dashes instead of blanks' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l log-format -d 'Format of log lines: `text`, or `json` with one object per line' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l debug -d 'Log more' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s k -l kubernetes -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l kubernetes-enable-pod-labels -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l kubernetes-enable-pod-uid -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l kubernetes-gpu-id-type -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l kubernetes-pod-label-allowlist-regex -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l kubernetes-virtual-gpus -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l kubernetes-enable-dra -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l pod-resources-kubelet-socket -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l nvidia-resource-names -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s m -l configmap-data -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l web-config-file -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l hpc-job-mapping-dir -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l dump-enabled -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l dump-directory -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l dump-retention -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l dump-compression -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l disable-startup-validate -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l enable-gpu-bind-unbind-watch -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l gpu-bind-unbind-poll-interval -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l health-require-gpus -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l enable-pprof -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l source -d 'Source of readings: `nvml`, the driver library; `dcgm`, NVIDIA\'s DCGM; `sim`, simulated GPUs; `auto`, DCGM if a host engine is named, else the driver library' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l nvml-library -d 'The driver library [default: libnvidia-ml.so.1, where the dynamic linker finds it]' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l path.rootfs -d 'Root folder for `/proc`, `/sys`, `/dev` and the journal: the host\'s root, where a container has it elsewhere' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l dcgm-library -d 'DCGM\'s library [default: libdcgm.so.4, where the dynamic linker finds it]' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s r -l remote-hostengine-info -d 'The DCGM host engine to read through: `host:port`, `[v6]:port`, `tcp://host:port`, `unix:///path`, `vsock://cid:port` [default: none; --source dcgm starts one in this process]' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l fake-gpus -d 'Also serve GPUs that DCGM only simulates' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l enable-dcgm-log -d 'Let a DCGM engine in this process log to standard output' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l dcgm-log-level -d 'Level of that log: `NONE`, `FATAL`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `VERB`' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l sim-scenario -d 'What happens to the simulated GPUs [default: story]' -r -f -a "story\t'Eight H100s, a training job, and four of them in trouble'
steady\t'The same job on healthy GPUs'
idle\t'No work'"
complete -c heatsink -n "__fish_heatsink_needs_command" -l sim-gpus -d 'Number of GPUs of `steady` and `idle` [default: 8]' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l sim-seed -d 'The same seed gives the same numbers [default: 1]' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l sim-at -d 'Stop simulated time at this second' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -l speed -d 'Simulated seconds per second, up to 1000 [default: 1]' -r
complete -c heatsink -n "__fish_heatsink_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heatsink -n "__fish_heatsink_needs_command" -s V -l version -d 'Print version'
complete -c heatsink -n "__fish_heatsink_needs_command" -f -a "serve" -d 'Serve this machine\'s GPUs (what heatsink does without a command)'
complete -c heatsink -n "__fish_heatsink_needs_command" -f -a "demo" -d 'Serve eight simulated H100s and the story of a training job; no GPU needed'
complete -c heatsink -n "__fish_heatsink_needs_command" -f -a "check" -d 'Check whether data flows, what can be read here, and why not; exit status 0 only if data flows'
complete -c heatsink -n "__fish_heatsink_needs_command" -f -a "fields" -d 'List the fields that can be served, all or those that match a pattern'
complete -c heatsink -n "__fish_heatsink_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s f -l collectors -d 'Fields to serve: a counters file with one `NAME, type, help[, interval]` per line, or one of the built-in sets `default`, `all`, `minimal`, `1.x` [default: default]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l extra-collectors -d 'A second counters file: adds its rows, and replaces rows of the same name; the built-in `machine` adds NVSwitches and CPUs, which DCGM reads; `monitoring` adds what the shipped alert rules and dashboards use beyond `default`' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l metric-names -d 'Generation of metric names: those of dcgm-exporter `4.8`, `4.8.2` or `4.9`, or `both`, 4.8\'s and 4.9\'s side by side [default: 4.8; a counters file keeps the names in it]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s a -l address -d 'Address to listen on: `:9400`, `127.0.0.1:9400`, `[::1]:9400`' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l web-systemd-socket -d 'Listen only on the socket that systemd passes; without this flag, --address is used if systemd passes none' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s c -l collect-interval -d 'Milliseconds from one reading to the next' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s n -l no-hostname -d 'Leave out the label `hostname`' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s d -l devices -d 'Devices to serve: `f`, the MIG instances of a GPU that has some, else the GPU; `g`, whole GPUs; `i`, instances; `g+i`, both; a selection as in `g:0,2-4` or `i:8`, where 8 is instance 1 of GPU 1 if each GPU can have seven' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s s -l switch-devices -d 'NVSwitches to serve, and their NVLinks, with DCGM: `f`, all; `g`, switches; `i`, links; `g+i`, both; a selection as in `g:0,2-4`' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s p -l cpu-devices -d 'CPUs to serve, and their cores, with DCGM: `f`, all; `g`, CPUs; `i`, cores; `g+i`, both; a selection as in `i:0-15`' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l compute-instances -d 'Also serve MIG compute instances, with the label `GPU_CI_ID`' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s o -l use-old-namespace -d 'Write the label `UUID` as `uuid`, as before dcgm-exporter 2' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l window -d 'Length of the window whose minimum, mean and maximum are served, so that no peak between two scrapes is lost: longer than the scrape interval, up to 1h; `0` for none' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s x -l xid-count-window-size -d 'Milliseconds over which DCGM_EXP_XID_ERRORS_COUNT counts' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l clock-events-count-window-size -d 'Milliseconds over which DCGM_EXP_CLOCK_EVENTS_COUNT counts' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l kernel-log -d 'Log to read XIDs from: `kmsg`, /dev/kmsg; `journal`, the files of systemd\'s journal; `auto`, the first of the two that can be read; a file in the format of kmsg or syslog, or a folder of a journal; `none`, only the driver\'s events, which lack XIDs 79, 119, 120 and a few more' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l expected-gpus -d 'Number of GPUs that this machine should have, served as `heatsink_gpus_expected`, so that an alert can tell when one is missing even from the PCI bus' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l forget-missing -d 'How long a missing GPU is served as missing; `0` for ever. SIGHUP forgets it at once' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l fail-health-after-driver-upgrade -d 'Let /health fail when the driver was upgraded and the driver library, as in a container, has not fitted the kernel module for a minute: a liveness probe then restarts the container' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l replace-blanks-in-model-name -l rbmn -d 'Write model names with dashes instead of blanks' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l log-format -d 'Format of log lines: `text`, or `json` with one object per line' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l debug -d 'Log more' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s k -l kubernetes -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l kubernetes-enable-pod-labels -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l kubernetes-enable-pod-uid -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l kubernetes-gpu-id-type -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l kubernetes-pod-label-allowlist-regex -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l kubernetes-virtual-gpus -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l kubernetes-enable-dra -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l pod-resources-kubelet-socket -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l nvidia-resource-names -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s m -l configmap-data -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l web-config-file -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l hpc-job-mapping-dir -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l dump-enabled -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l dump-directory -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l dump-retention -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l dump-compression -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l disable-startup-validate -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l enable-gpu-bind-unbind-watch -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l gpu-bind-unbind-poll-interval -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l health-require-gpus -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l enable-pprof -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l source -d 'Source of readings: `nvml`, the driver library; `dcgm`, NVIDIA\'s DCGM; `sim`, simulated GPUs; `auto`, DCGM if a host engine is named, else the driver library' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l nvml-library -d 'The driver library [default: libnvidia-ml.so.1, where the dynamic linker finds it]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l path.rootfs -d 'Root folder for `/proc`, `/sys`, `/dev` and the journal: the host\'s root, where a container has it elsewhere' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l dcgm-library -d 'DCGM\'s library [default: libdcgm.so.4, where the dynamic linker finds it]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s r -l remote-hostengine-info -d 'The DCGM host engine to read through: `host:port`, `[v6]:port`, `tcp://host:port`, `unix:///path`, `vsock://cid:port` [default: none; --source dcgm starts one in this process]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l fake-gpus -d 'Also serve GPUs that DCGM only simulates' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l enable-dcgm-log -d 'Let a DCGM engine in this process log to standard output' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l dcgm-log-level -d 'Level of that log: `NONE`, `FATAL`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `VERB`' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l sim-scenario -d 'What happens to the simulated GPUs [default: story]' -r -f -a "story\t'Eight H100s, a training job, and four of them in trouble'
steady\t'The same job on healthy GPUs'
idle\t'No work'"
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l sim-gpus -d 'Number of GPUs of `steady` and `idle` [default: 8]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l sim-seed -d 'The same seed gives the same numbers [default: 1]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l sim-at -d 'Stop simulated time at this second' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -l speed -d 'Simulated seconds per second, up to 1000 [default: 1]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heatsink -n "__fish_heatsink_using_subcommand demo" -s a -l address -d 'Address to listen on; `:9400` can be reached from other machines' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand demo" -l metric-names -d 'Generation of metric names: those of dcgm-exporter `4.8`, `4.8.2` or `4.9`, or `both`, 4.8\'s and 4.9\'s side by side' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand demo" -l speed -d 'Simulated seconds per second, up to 1000; the story takes 20 minutes at 1' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand demo" -l seed -d 'The same seed gives the same numbers' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand demo" -l nodes -d 'Number of nodes to simulate, up to 10000, each with its own page: the first tells the story, the others are copies of one healthy node; /targets lists them for Prometheus\' http_sd_configs' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand demo" -l log-format -d 'Format of log lines: `text`, or `json` with one object per line' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand demo" -l debug -d 'Log more' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand demo" -s h -l help -d 'Print help'
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -s d -l devices -d 'GPUs to check, with their instances and links: `f` for all, `g:0,2-4` for some' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l kernel-log -d 'Log to read XIDs from: `kmsg`, /dev/kmsg; `journal`, the files of systemd\'s journal; `auto`, the first of the two that can be read; a file in the format of kmsg or syslog, or a folder of a journal; `none`, only the driver\'s events, which lack XIDs 79, 119, 120 and a few more' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l source -d 'Source of readings: `nvml`, the driver library; `dcgm`, NVIDIA\'s DCGM; `sim`, simulated GPUs; `auto`, DCGM if a host engine is named, else the driver library' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l nvml-library -d 'The driver library [default: libnvidia-ml.so.1, where the dynamic linker finds it]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l path.rootfs -d 'Root folder for `/proc`, `/sys`, `/dev` and the journal: the host\'s root, where a container has it elsewhere' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l dcgm-library -d 'DCGM\'s library [default: libdcgm.so.4, where the dynamic linker finds it]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -s r -l remote-hostengine-info -d 'The DCGM host engine to read through: `host:port`, `[v6]:port`, `tcp://host:port`, `unix:///path`, `vsock://cid:port` [default: none; --source dcgm starts one in this process]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l fake-gpus -d 'Also serve GPUs that DCGM only simulates' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l enable-dcgm-log -d 'Let a DCGM engine in this process log to standard output' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l dcgm-log-level -d 'Level of that log: `NONE`, `FATAL`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `VERB`' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l sim-scenario -d 'What happens to the simulated GPUs [default: story]' -r -f -a "story\t'Eight H100s, a training job, and four of them in trouble'
steady\t'The same job on healthy GPUs'
idle\t'No work'"
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l sim-gpus -d 'Number of GPUs of `steady` and `idle` [default: 8]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l sim-seed -d 'The same seed gives the same numbers [default: 1]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l sim-at -d 'Stop simulated time at this second' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l speed -d 'Simulated seconds per second, up to 1000 [default: 1]' -r
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l all -d 'Also print every reading'
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l json -d 'Print the report as JSON, with every reading'
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -l timings -d 'Also time every driver call'
complete -c heatsink -n "__fish_heatsink_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heatsink -n "__fish_heatsink_using_subcommand fields" -l served -d 'Only the fields that heatsink serves'
complete -c heatsink -n "__fish_heatsink_using_subcommand fields" -l xids -d 'List XIDs instead: the meaning of each, and what to do'
complete -c heatsink -n "__fish_heatsink_using_subcommand fields" -l json -d 'Print JSON, one object per field'
complete -c heatsink -n "__fish_heatsink_using_subcommand fields" -l markdown -d 'Print a page in Markdown, with heatsink\'s own families'
complete -c heatsink -n "__fish_heatsink_using_subcommand fields" -s h -l help -d 'Print help'
complete -c heatsink -n "__fish_heatsink_using_subcommand help; and not __fish_seen_subcommand_from serve demo check fields help" -f -a "serve" -d 'Serve this machine\'s GPUs (what heatsink does without a command)'
complete -c heatsink -n "__fish_heatsink_using_subcommand help; and not __fish_seen_subcommand_from serve demo check fields help" -f -a "demo" -d 'Serve eight simulated H100s and the story of a training job; no GPU needed'
complete -c heatsink -n "__fish_heatsink_using_subcommand help; and not __fish_seen_subcommand_from serve demo check fields help" -f -a "check" -d 'Check whether data flows, what can be read here, and why not; exit status 0 only if data flows'
complete -c heatsink -n "__fish_heatsink_using_subcommand help; and not __fish_seen_subcommand_from serve demo check fields help" -f -a "fields" -d 'List the fields that can be served, all or those that match a pattern'
complete -c heatsink -n "__fish_heatsink_using_subcommand help; and not __fish_seen_subcommand_from serve demo check fields help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
