#!/usr/bin/env bash
# Runs a command on the current commit of this repository in a fresh Debian 12 root.
#   tests/clean_root.sh [--reuse] DIR COMMAND...     e.g. tests/clean_root.sh /tmp/clean-root ./run test
# DIR/base is the bare system, made once with debootstrap; DIR/root is a copy of it made for each run
# (with --reuse the last run's, with what it installed). The mirror is the one this machine's apt uses.
set -euo pipefail

say() { printf 'clean_root: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
reuse=
if [[ ${1:-} == --reuse ]]; then reuse=--reuse; shift; fi
(($# >= 2)) || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
((EUID == 0)) || die "needs root, for chroot and mount"

# The mounts are made in a namespace of this process: they end with it, however it ends.
if [[ -z ${UNROLL_CLEAN_ROOT_INSIDE:-} ]]; then
  for tool in debootstrap unshare git; do
    command -v "$tool" >/dev/null || die "needs $tool: apt-get install debootstrap util-linux git"
  done
  UNROLL_CLEAN_ROOT_INSIDE=1 exec unshare --mount --propagation private "$0" $reuse "$@"
fi

mkdir -p -- "$1"
dir=$(cd -- "$1" && pwd -P)
shift
base=$dir/base root=$dir/root
trap 'umount -q "$root/dev/pts" "$root/dev" "$root/proc" 2>/dev/null || true' EXIT

git -C "$project" rev-parse -q --verify HEAD >/dev/null || die "$project has no commit to clone"
[[ -z $(git -C "$project" status --porcelain) ]] || say "note: changes that are not committed are left out"

if [[ ! -e $base.ready ]]; then
  sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    grep -E ' bookworm(-[a-z]+)? main$' | sort -u) || die "this machine's apt has no Debian 12 sources"
  mirror=$(awk '$3 == "bookworm" { print $2; exit }' <<<"$sources")
  [[ -n $mirror ]] || die "this machine's apt has no bookworm main source"
  say "making $base with debootstrap"
  rm -rf --one-file-system -- "$base"
  debootstrap --variant=minbase --include=git,ca-certificates bookworm "$base" "$mirror" >"$dir/debootstrap.log" 2>&1 ||
    { tail -n 20 "$dir/debootstrap.log" >&2; die "debootstrap failed; its log is $dir/debootstrap.log"; }
  printf '%s\n' "$sources" >"$base/etc/apt/sources.list"
  apt-config dump Acquire | grep -v '^Acquire::IndexTargets' >"$base/etc/apt/apt.conf.d/90host"
  if [[ -d /usr/local/share/ca-certificates ]]; then
    cp -R /usr/local/share/ca-certificates/. "$base/usr/local/share/ca-certificates/"
    chroot "$base" update-ca-certificates >/dev/null 2>&1
  fi
  touch "$base.ready"
fi

if [[ -n $reuse && -d $root ]]; then
  say "reusing $root"
else
  rm -rf --one-file-system -- "$root"
  cp -a -- "$base" "$root"
fi
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
rm -rf -- "$root/unroll"
git clone -q --no-hardlinks -- "$project" "$root/unroll"

mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts"
say "$(git -C "$project" rev-parse --short HEAD): $*"
start=$SECONDS status=0
chroot "$root" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 ${CI:+CI="$CI"} \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /bin/bash -c 'cd /unroll && exec "$@"' bash "$@" || status=$?
say "exit code $status after $((SECONDS - start)) s"
exit "$status"
