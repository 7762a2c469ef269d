#!/bin/sh
# Puts the servers that tests run against into .cache/bin, at pinned versions; quick when they are there. Needs Go.
set -eu
cd "$(dirname "$0")/../.."
bin="$PWD/.cache/bin"
PATH="$PATH:/usr/local/go/bin"
if ! command -v go >/dev/null; then
  echo "test/servers/install.sh: the S3 server for the tests is built with Go, and there is no go on PATH: https://go.dev/dl" >&2
  exit 1
fi

install() { # name, module, version
  if [ -x "$bin/$1" ] && go version -m "$bin/$1" | grep -q "$3"; then return; fi
  echo "installing $1 $3 into .cache/bin" >&2
  GOBIN="$bin" CGO_ENABLED=0 go install "$2@$3"
}

install nats-server github.com/nats-io/nats-server/v2 v2.14.5
install gofakes3 github.com/johannesboyne/gofakes3/cmd/gofakes3 v1.2.0
