#!/usr/bin/env bash
# An emulated arm64 device: QEMU's user emulation, Debian's Python, the wheel and its dependencies.
#
#     root.sh WORK WHEEL
#
# Needs Debian (apt-get, dpkg-deb, its keyring) and pip. Nothing is installed in the host: no
# package, no binfmt handler, no foreign architecture of dpkg, no chroot. What WORK already has is
# not fetched again, but for the wheel.
set -euo pipefail
wheel=$2
mkdir -p "$1"
work=$(cd "$1" && pwd)
release=bookworm  # its Python is the 3.11 that the wheels below are of
root=$work/root

fetch_emulator() {
  (
    cd "$work"
    apt-get -qq update
    apt-get -qq -o APT::Sandbox::User=root download qemu-user-static
    dpkg-deb --fsys-tarfile qemu-user-static_*.deb |
      tar -x --strip-components=3 ./usr/bin/qemu-aarch64-static
    rm qemu-user-static_*.deb
  )
}

fetch_root() {
  local apt package
  mkdir -p "$work/apt"/{lists/partial,cache/archives/partial} "$root.new"
  : >"$work/apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
    "http://deb.debian.org/debian $release main" >"$work/apt/sources.list"
  apt=(
    -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root
    -o APT::Install-Recommends=false -o Dir::State="$work/apt" -o Dir::Cache="$work/apt/cache"
    -o Dir::State::status="$work/apt/status" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::sourcelist="$work/apt/sources.list"
  )
  apt-get "${apt[@]}" update
  apt-get "${apt[@]}" install -y --download-only \
    python3.11-minimal libpython3.11-stdlib libstdc++6 >/dev/null
  for package in "$work"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$root.new"; done
  rm -r "$work/apt"
  mv "$root.new" "$root"
}

install_wheel() {
  local platforms=() glibc
  for glibc in 2_28 2_27 2_26 2_17; do platforms+=(--platform "manylinux_${glibc}_aarch64"); done
  rm -rf "$work/site"
  pip --disable-pip-version-check install -q --no-compile --only-binary=:all: "${platforms[@]}" --platform manylinux2014_aarch64 \
    --implementation cp --python-version 3.11 --target "$work/site" "$wheel"
}

[ -x "$work/qemu-aarch64-static" ] || fetch_emulator
[ -d "$root" ] || fetch_root
install_wheel
