#!/usr/bin/env bash
# A stranger's first minutes: a minimal Debian made by debootstrap, a plain clone in it, README's commands as written and nothing else;
# once as root, which installs what is missing, and once as a user with the packages there. Not part of ./check: it takes long.
#
# usage: tests/fresh_machine.sh [--suite SUITE] [--folder FOLDER] [--check]       as root; needs debootstrap
#   --suite   Debian's release (default: that of this machine)
#   --folder  where the machine is made, on a disk with 12 GB of room; one that is there is used again (default: a new one, removed)
#   --check   also `./check`, as the user (45 minutes on two cores); without it, `./demo` alone
#
# The new machine asks where this one does: apt's sources and keys, pip's and npm's settings and certificates are copied, proxies kept.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
suite='' folder='' is_checking=false

fail() {
  echo "fresh_machine.sh: $*" >&2
  exit 2
}

while (($# > 0)); do
  case $1 in
    --suite) suite=$2 && shift ;;
    --folder) folder=$2 && shift ;;
    --check) is_checking=true ;;
    *) fail "unknown option $1; see the head of this file" ;;
  esac
  shift
done
((EUID == 0)) || fail "debootstrap and chroot need root"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"

# Mounts end with this namespace, whatever happens.
if [[ ${PANNIER_OWN_MOUNTS:-} != yes ]]; then
  words=(${suite:+--suite "$suite"} ${folder:+--folder "$folder"})
  if $is_checking; then words+=(--check); fi
  PANNIER_OWN_MOUNTS=yes exec unshare --mount --propagation private "$0" "${words[@]}"
fi

# shellcheck disable=SC1091
own_suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
suite=${suite:-$own_suite}
if [[ -z $folder ]]; then
  folder=$(mktemp -d)
  trap 'umount -R "$folder"/{proc,dev} 2>/dev/null || true; rm -rf "$folder"' EXIT
fi
readonly machine=$folder/$suite

# The archive that this machine's own sources name for its own release.
mirror() {
  local found
  found=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
  [[ -n $found ]] || found=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | head -n 1)
  [[ -n $found ]] || fail "apt's sources name no archive"
  echo "$found"
}

make_machine() {
  [[ -x $machine/usr/bin/apt-get ]] && return
  debootstrap --variant=minbase --include=ca-certificates,git "$suite" "$machine" "$(mirror)"
  : >"$machine/etc/apt/sources.list"  # debootstrap's own, which would say the same again
  local path
  for path in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/trusted.gpg.d /etc/apt/keyrings /usr/share/keyrings \
    /usr/local/share/ca-certificates /etc/ssl/certs /etc/pip.conf /etc/npmrc /root/.npmrc /root/.config/pip /root/.m2; do
    [[ -e $path ]] || continue
    mkdir -p "$machine$(dirname "$path")"
    cp -rL --remove-destination "$path" "$machine$(dirname "$path")" 2>/dev/null || true
  done
  # Sources of others than Debian are this machine's affair; its own release, too.
  find "$machine/etc/apt/sources.list.d" -type f ! -name 'debian*' -delete
  find "$machine"/etc/apt/sources.list "$machine/etc/apt/sources.list.d" -type f -exec sed -i "s/\\b$own_suite\\b/$suite/g" {} +
  chroot "$machine" useradd --create-home stranger
}

start_machine() {
  mount -t proc proc "$machine/proc"
  mount --rbind /dev "$machine/dev"
  cp -L /etc/resolv.conf /etc/hosts "$machine/etc/"
}

# Proxies and settings of package managers alone come along.
inside() {
  local user=$1 variable kept=()
  shift
  for variable in $(compgen -e); do
    case $variable in
      *_proxy | *_PROXY | PIP_* | npm_config_* | NPM_CONFIG_* | GOPROXY | GOFLAGS | GONOSUMDB | GONOSUMCHECK | CARGO_* | SSL_CERT_* | REQUESTS_CA_BUNDLE | NODE_EXTRA_CA_CERTS)
        kept+=("$variable=${!variable}") ;;
    esac
  done
  chroot "$machine" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    "${kept[@]}" su --whitelist-environment="$(printf '%s,' "${kept[@]%%=*}")LANG" "$user" -c "$*"
}

# A clone of what is committed, its origin this machine's folder only while it is made.
clone_for() {
  local user=$1 home=$2
  rm -rf "$machine$home/pannier"
  git clone --quiet --no-local "$root" "$machine$home/pannier"
  chroot "$machine" chown -R "$user:" "$home/pannier"
}

# step USER NAME COMMAND: with its time.
step() {
  local begin=$SECONDS status=0
  echo "=== $2, as $1"
  inside "$1" "$3" || status=$?
  echo "--- $2, as $1: $((SECONDS - begin)) s, status $status"
  ((status == 0)) || exit 1
}

make_machine
start_machine
clone_for root /root
step root "./demo" "cd ~/pannier && ./demo"
clone_for stranger /home/stranger
step stranger "./demo" "cd ~/pannier && ./demo"
if $is_checking; then
  step root "packages of ./check" "cd ~/pannier && cmake/install_dependencies.sh check"
  step stranger "./check" "cd ~/pannier && ./check"
fi
echo "ok: $suite"
