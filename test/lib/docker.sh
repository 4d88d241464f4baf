# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# docker.sh - a private dockerd on the private containerd of the node.
#
#	docker_start		the daemon, on its own folders and socket, with no network
#	docker_stop [SIGNAL]
#	docker_begin		containerd, dockerd, test/box:1, one container that has lived
#	box ID [options...] -- command...	docker run with the shim that is tested
#	d words...		docker
#	box_is ID FIELD WANT	a field of .State
#
# Its containers are in containerd's namespace moby. Docker before 23 knows no shim but
# containerd-shim-runc-v2: there ours stands in front of it, under its name.

DOCKER_ROOT=$T/docker
DOCKER_HOST=unix://$DOCKER_ROOT/d.sock
DOCKER_CONFIG=$DOCKER_ROOT/client
export DOCKER_HOST DOCKER_CONFIG

d()
{
	timeout -k 5 "${DOCKER_TIMEOUT:-60}" docker "$@"
}

docker_stand_in()
{
	DOCKER_RUNTIME=$SHIM_RUNTIME
	case $(d --version) in *" version 1"?.* | *" version 20."*) ;; *) return ;; esac
	DOCKER_RUNTIME=io.containerd.runc.v2
	[ "$SUBJECT" != runc ] || return
	mkdir -p "$T/as"
	ln -sf "$BUILD/containerd-shim-$SUBJECT-v2" "$T/as/containerd-shim-runc-v2"
	PATH=$T/as:$PATH
}

# What it would do with the machine's network, firewall and users, it shall not.
docker_start()
{
	mkdir -p "$DOCKER_CONFIG"
	rm -f "$DOCKER_ROOT/pid"
	[ -e "$DOCKER_ROOT/daemon.json" ] || echo '{}' >"$DOCKER_ROOT/daemon.json"
	command dockerd --config-file "$DOCKER_ROOT/daemon.json" --containerd "$CTR_ADDRESS" \
		--data-root "$DOCKER_ROOT/data" --exec-root "$DOCKER_ROOT/exec" \
		--pidfile "$DOCKER_ROOT/pid" --host "$DOCKER_HOST" --bridge none --iptables=false \
		--ip6tables=false --ip-forward=false --ip-masq=false --userland-proxy=false \
		--live-restore --storage-driver overlay2 --shutdown-timeout 3 \
		>>"$DOCKER_ROOT/log" 2>&1 </dev/null &
	DOCKER_PID=$!
	daemon_answers 30 dockerd "$DOCKER_ROOT/log" d version
}

docker_stop()
{
	daemon_stop "$DOCKER_PID" "${1:-TERM}"
}

docker_begin()
{
	containerd_needs
	"$TOP/test/peers" clients || skip_all "Docker can't be fetched"
	docker_stand_in
	CTR_NAMESPACES=moby
	containerd_start && docker_start || exit 1
	tar -C "$PEERS/rootfs" -c . | d import -c 'ENV PATH=/bin' - test/box:1 >/dev/null || exit 1
	box warm --rm -- true || exit 1
	until_true 5 suite_before
}

# box ID [docker's options...] -- command...
box()
{
	local id opts

	id=$1
	shift
	opts=
	while [ "$1" != -- ]; do
		opts="$opts $1"
		shift
	done
	shift
	d run --name "$id" --network none --runtime "$DOCKER_RUNTIME" $opts test/box:1 "$@"
}

box_state()
{
	d inspect -f "{{.State.$2}}" "$1" 2>/dev/null
}

box_is()
{
	[ "$(box_state "$1" "$2")" = "$3" ]
}

# The pid of the shim that serves a container
box_shim()
{
	shim_pid "$(d inspect -f '{{.Id}}' "$1")"
}
