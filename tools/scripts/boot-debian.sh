#!/bin/sh
# Boots the systemd of a Debian that lies in a folder, so that a service can be tried as it will run:
#
#   unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child tools/scripts/boot-debian.sh FOLDER
#
# In namespaces of its own it sees no other process, network or mount, and ends with them. It has no
# devices but the harmless ones.
set -eu

root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs dev
for name in null zero full random urandom; do
    : > "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mkdir -p dev/shm mnt/old
ln -s /proc/self/fd dev/fd
# The cgroups that systemd sorts its services into; both kinds, where the machine still has both.
mount -t tmpfs tmpfs sys/fs/cgroup
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
# Not chroot: services with user namespaces of their own cannot be made inside one.
pivot_root . mnt/old
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c 'umount -l /mnt/old && exec /lib/systemd/systemd --unit=multi-user.target'
