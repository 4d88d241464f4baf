/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's network, in network namespaces of the test's own: this process stands in one
 * (the "node"), with one end of a pair of interfaces; a child holds another (the "pod"),
 * where the other end is eth0. Root.
 */
#include "supervisor/net/choose.h"
#include "supervisor/net/net.h"
#include "supervisor/net/talk.h"
#include "journal/base/cleanup.h"
#include "test/lib/node_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define SHAPE "{\"path\":\"%s\"%s}"

struct pod {
	struct node_rig *rig;
	pid_t holder;
	char path[64]; /* of its network namespace */
	int ns, own;   /* it, and ours             */
	char before[4096];
};

static void must(int rc, const struct err *err)
{
	if (rc < 0)
		fail_msg("%s", err->text);
}

static void __attribute__((format(printf, 1, 2))) run(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (system(line) != 0)
		fail_msg("%s", line);
}

#define IN_POD "nsenter --net=%s "

/* ---- the pod ----------------------------------------------------------------------- */

static pid_t hold_namespace(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void visit(const struct pod *p)
{
	assert_int_equal(setns(p->ns, CLONE_NEWNET), 0);
}

static void come_back(const struct pod *p)
{
	assert_int_equal(setns(p->own, CLONE_NEWNET), 0);
}

/* Everything that could be left in there, as text. */
static void snapshot(const struct pod *p, char *buf, size_t size)
{
	struct err err = ERR_INIT;
	struct net_talk t;
	struct net_picture seen = { 0 };
	size_t n = 0;

	visit(p);
	must(talk_open(&t, &err), &err);
	must(talk_look(&t, &seen, &err), &err);
	for (size_t i = 0; i < seen.n_links; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s %d %s \"%s\" %d\n", seen.links[i].name,
				      seen.links[i].index, seen.links[i].kind, seen.links[i].alias,
				      seen.links[i].up);
	for (size_t i = 0; i < seen.n_qdiscs; i++)
		for (uint32_t at = AT_INGRESS; at <= AT_EGRESS; at++)
			if (strcmp(seen.qdiscs[i].kind, "clsact") == 0)
				must(talk_filters(&t, &seen, seen.qdiscs[i].index, at, &err), &err);
			else if (at == AT_INGRESS)
				must(talk_filters(&t, &seen, seen.qdiscs[i].index, AT_QDISC, &err), &err);
	for (size_t i = 0; i < seen.n_qdiscs; i++)
		n += (size_t)snprintf(buf + n, size - n, "qdisc %s %d\n", seen.qdiscs[i].kind,
				      seen.qdiscs[i].index);
	for (size_t i = 0; i < seen.n_filters; i++)
		n += (size_t)snprintf(buf + n, size - n, "filter at %d %x pref %u to %d\n",
				      seen.filters[i].index, seen.filters[i].parent,
				      seen.filters[i].pref, seen.filters[i].to);
	picture_clear(&seen);
	talk_close(&t);
	come_back(p);
}

static void assert_as_before(const struct pod *p)
{
	char now[4096];

	snapshot(p, now, sizeof(now));
	assert_string_equal(now, p->before);
}

static int pod_up(void **state)
{
	struct pod *p = calloc(1, sizeof(*p));

	if (!p || geteuid() != 0 || unshare(CLONE_NEWNET) < 0 ||
	    node_rig_up((void **)&p->rig) < 0)
		return -1;
	p->holder = hold_namespace();
	(void)snprintf(p->path, sizeof(p->path), "/proc/%d/ns/net", (int)p->holder);
	p->ns = open(p->path, O_RDONLY | O_CLOEXEC);
	p->own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	run("ip link set lo up && ip link add peer type veth peer name eth0 netns %d && "
	    "ip link set peer addr 02:00:00:00:00:99 up && " IN_POD "sh -c '"
	    "ip link set lo up; ip link set eth0 addr 02:00:00:00:00:01 mtu 1400 up; "
	    "ip addr add 10.4.0.2/24 dev eth0; ip route add default via 10.4.0.1'",
	    (int)p->holder, p->path);
	snapshot(p, p->before, sizeof(p->before));
	*state = p;
	return 0;
}

static void end_pod(struct pod *p)
{
	if (p->holder > 0) {
		(void)kill(p->holder, SIGKILL);
		(void)waitpid(p->holder, NULL, 0);
	}
	p->holder = 0;
	if (p->ns >= 0)
		(void)close(p->ns);
	p->ns = -1;
}

static int pod_down(void **state)
{
	struct pod *p = *state;

	end_pod(p);
	(void)close(p->own);
	(void)node_rig_down((void **)&p->rig);
	free(p);
	return 0;
}

/* ---- one guest ----------------------------------------------------------------------- */

struct guest {
	char have[1024]; /* the row, without braces */
	char tap[16];
	int fd; /* of its monitor */
};

/* Look, and name it as the step does: the digit makes alias and cookie its own. */
static void look(struct pod *p, struct guest *g, int digit)
{
	auto_free char *text = NULL;
	auto_json json_object *o = NULL;
	json_object *tap = NULL;
	int code = node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, "");

	if (code != 0)
		fail_msg("look: %s", text);
	*g = (struct guest){ .fd = -1 };
	o = json_tokener_parse(text);
	assert_true(json_object_object_get_ex(o, "tap", &tap));
	(void)snprintf(g->tap, sizeof(g->tap), "%s", json_object_get_string(tap));
	(void)snprintf(g->have, sizeof(g->have), ",%.*s,\"alias\":\"urunc:aa/default/c%d\","
		       "\"cookie\":\"75726e63%024d\"", (int)strlen(text) - 2, text + 1, digit,
		       digit);
}

static int attach(struct pod *p, struct guest *g, char **text)
{
	return node_rig_job(p->rig, JOB_NET_ATTACH, text, SHAPE, p->path, g->have);
}

static int detach(struct pod *p, struct guest *g, char **text)
{
	return node_rig_job(p->rig, JOB_NET_DETACH, text, SHAPE, p->path, g->have);
}

static void make(struct pod *p, struct guest *g, int digit)
{
	auto_free char *text = NULL;

	look(p, g, digit);
	if (attach(p, g, &text) != 0)
		fail_msg("attach: %s", text);
	assert_non_null(strstr(text, "\"tap_index\":"));
	(void)snprintf(g->have + strlen(g->have), sizeof(g->have) - strlen(g->have), ",%.*s",
		       (int)strlen(text) - 2, text + 1);
}

static void unmake(struct pod *p, struct guest *g)
{
	auto_free char *text = NULL;

	if (detach(p, g, &text) != 0)
		fail_msg("detach: %s", text);
	assert_string_equal(text, "{\"left\":[]}");
}

/* As its monitor does. */
static void open_tap(struct pod *p, struct guest *g)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", g->tap);
	visit(p);
	g->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	assert_true(g->fd >= 0);
	assert_int_equal(ioctl(g->fd, TUNSETIFF, &ifr), 0);
	come_back(p);
}

/* ---- frames ---------------------------------------------------------------------------- */

#define FRAME 64

/* An Ethernet frame with a text; or an IPv4 packet of a protocol, with @flags at the place
 * of TCP's. */
static void fill(uint8_t *f, const char *word)
{
	memset(f, 0, FRAME);
	memcpy(f, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x55\x88\xb5", 14);
	(void)snprintf((char *)f + 14, FRAME - 14, "%s", word);
}

static void fill_tcp(uint8_t *f, uint8_t flags, const char *word)
{
	fill(f, "");
	f[12] = 0x08;
	f[13] = 0x00;
	f[14] = 0x45;
	f[17] = FRAME - 14;
	f[22] = 64;
	f[23] = 6;
	f[14 + 20 + 13] = flags;
	(void)snprintf((char *)f + 54, FRAME - 54, "%s", word);
}

static int listen_at(const struct pod *p, const char *iface, bool in_pod)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd;

	if (in_pod)
		visit(p);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	at.sll_ifindex = (int)if_nametoindex(iface);
	assert_true(fd >= 0 && at.sll_ifindex > 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (in_pod)
		come_back(p);
	return fd;
}

static int hears_within(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms);
}

/* Does a frame with this word come, before the one that says "end"? */
static int hears(int fd, const char *word)
{
	char buf[2048];
	int n = 0;

	for (;;) {
		ssize_t len;

		assert_int_equal(hears_within(fd, 10000), 1);
		len = read(fd, buf, sizeof(buf));
		assert_true(len > 0);
		if (memmem(buf, (size_t)len, "end", 3))
			return n;
		if (memmem(buf, (size_t)len, word, strlen(word)))
			n++;
	}
}

static void say(int fd, const uint8_t *frame)
{
	assert_int_equal(write(fd, frame, FRAME), FRAME);
}

static void say_word(int fd, const char *word)
{
	uint8_t f[FRAME];

	fill(f, word);
	say(fd, f);
	fill(f, "end");
	say(fd, f);
}

/* The kernel lets nothing out at an interface until it has taken note, some time later,
 * that somebody has opened it. */
static void wake_tap(struct pod *p, struct guest *g)
{
	uint8_t f[FRAME];
	auto_fd int peer = listen_at(p, "peer", false);
	int tries = 0;

	open_tap(p, g);
	fill(f, "wake up");
	do
		say(peer, f);
	while (hears_within(g->fd, 50) == 0 && ++tries < 200);
	assert_true(tries < 200);
}

/* ---- the tests --------------------------------------------------------------------------- */

static void test_a_look_names_the_pods_interface_and_a_free_tap(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;

	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, ""), 0);
	assert_non_null(strstr(text, "\"iface\":\"eth0\""));
	assert_non_null(strstr(text, "\"mac\":\"02:00:00:00:00:01\",\"mtu\":1400,"
			       "\"ip\":\"10.4.0.2/24\",\"gateway\":\"10.4.0.1\","
			       "\"tap\":\"tap0_urunc\",\"slot\":0,\"qdisc\":\"made\""));
	assert_as_before(p);
}

static void test_frames_go_from_the_guest_to_the_peer_and_back(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_fd int peer = -1;

	make(p, &g, 1);
	wake_tap(p, &g);
	peer = listen_at(p, "peer", false);
	say_word(g.fd, "from guest");
	assert_int_equal(hears(peer, "from guest"), 1);
	say_word(peer, "to guest");
	assert_int_equal(hears(g.fd, "to guest"), 1);
	unmake(p, &g);
	(void)close(g.fd);
	assert_as_before(p);
}

static void test_the_tap_carries_alias_mtu_and_owner(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;
	char now[4096];

	look(p, &g, 1);
	(void)snprintf(g.have + strlen(g.have), sizeof(g.have) - strlen(g.have),
		       ",\"uid\":7777,\"gid\":8888");
	assert_int_equal(attach(p, &g, &text), 0);
	snapshot(p, now, sizeof(now));
	assert_non_null(strstr(now, " tun \"urunc:aa/default/c1\" 1\n"));
	run(IN_POD "ip -d link show tap0_urunc | grep -q 'mtu 1400 '", p->path);
	run(IN_POD "ip -d link show tap0_urunc | grep -q 'persist on user 7777 group 8888'", p->path);
	unmake(p, &g);
	assert_as_before(p);
}

/* A datagram from the peer to the pod's address. */
static void send_datagram(const char *word)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(4000),
				  .sin_addr.s_addr = inet_addr("10.4.0.2") };
	auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(sendto(fd, word, strlen(word), 0, (struct sockaddr *)&to, sizeof(to)),
			 strlen(word));
}

static void test_the_pod_hears_nothing_while_a_guest_does_and_all_after(void **state)
{
	struct pod *p = *state;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(4000) };
	struct guest g;
	char word[16];
	auto_fd int in_pod = -1;

	run("ip addr add 10.4.0.1/24 dev peer; "
	    "ip neigh add 10.4.0.2 lladdr 02:00:00:00:00:01 dev peer");
	visit(p);
	in_pod = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(in_pod, (struct sockaddr *)&at, sizeof(at)), 0);
	come_back(p);
	send_datagram("before");
	assert_int_equal(hears_within(in_pod, 10000), 1);
	assert_int_equal(read(in_pod, word, sizeof(word)), 6);
	make(p, &g, 1);
	wake_tap(p, &g);
	send_datagram("meanwhile");
	send_datagram("end");
	assert_int_equal(hears(g.fd, "meanwhile"), 1);
	assert_int_equal(hears_within(in_pod, 0), 0);
	(void)close(g.fd);
	unmake(p, &g);
	send_datagram("after");
	assert_int_equal(hears_within(in_pod, 10000), 1);
	assert_int_equal(read(in_pod, word, sizeof(word)), 5);
	assert_as_before(p);
}

static void test_doing_it_twice_changes_nothing_and_undoing_it_twice_neither(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;
	char once[4096];
	char twice[4096];

	make(p, &g, 1);
	snapshot(p, once, sizeof(once));
	assert_int_equal(attach(p, &g, &text), EAGAIN);
	snapshot(p, twice, sizeof(twice));
	assert_string_equal(once, twice);
	unmake(p, &g);
	assert_as_before(p);
	unmake(p, &g);
	assert_as_before(p);
}

static void test_a_namespace_that_is_gone_is_said_to_be(void **state)
{
	struct pod *p = *state;
	struct guest g;
	char path[64];

	make(p, &g, 1);
	(void)snprintf(path, sizeof(path), "%s", p->path);
	end_pod(p);
	assert_int_equal(detach(p, &g, NULL), ENOENT);
	/* Another one has the path by now. */
	(void)snprintf(p->path, sizeof(p->path), "/proc/self/ns/net");
	assert_int_equal(detach(p, &g, NULL), ESTALE);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, NULL, SHAPE, path, ""), ENOENT);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, NULL, SHAPE, "/dev/null", ""), ESTALE);
}

static void test_a_process_by_that_pid_that_is_not_ours_is_refused(void **state)
{
	struct pod *p = *state;
	struct ident who = node_rig_ident(p->rig, p->holder);
	auto_free char *text = NULL;

	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, NULL,
				      "{\"path\":\"%s\",\"pid\":%d,\"start\":%llu}", p->path,
				      (int)who.pid, (unsigned long long)who.start), 0);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text,
				      "{\"path\":\"%s\",\"pid\":%d,\"start\":%llu}", p->path,
				      (int)who.pid, (unsigned long long)who.start + 1), ESTALE);
}

static void test_the_nodes_own_network_is_never_taken_over(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;

	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, "/proc/self/ns/net", ""),
			 0);
	assert_non_null(strstr(text, "\"none\":\"it shares the node's own network"));
}

static void test_a_pod_without_an_address_has_no_network(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;

	run(IN_POD "ip addr flush dev eth0", p->path);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, ""), 0);
	assert_non_null(strstr(text, "\"none\":"));
	assert_null(strstr(text, "\"tap\""));
}

static void test_a_foreign_tap_of_the_name_is_passed_over_and_untouched(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;
	char had[4096];
	char now[4096];

	look(p, &g, 1); /* it was free then */
	run(IN_POD "ip tuntap add tap0_urunc mode tap", p->path);
	snapshot(p, had, sizeof(had));
	assert_int_equal(attach(p, &g, NULL), EAGAIN);
	assert_int_equal(detach(p, &g, &text), 0);
	assert_non_null(strstr(text, "tap0_urunc is not this task's"));
	snapshot(p, now, sizeof(now));
	assert_string_equal(now, had);
	make(p, &g, 1);
	assert_string_equal(g.tap, "tap1_urunc");
	unmake(p, &g);
	snapshot(p, now, sizeof(now));
	assert_string_equal(now, had);
}

static void test_a_foreign_ingress_is_refused_by_name_and_untouched(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;
	char had[4096];
	char now[4096];

	look(p, &g, 1);
	run(IN_POD "tc qdisc add dev eth0 ingress", p->path);
	run(IN_POD "tc filter add dev eth0 parent ffff: protocol all u32 match u8 0 0 action "
	    "mirred egress redirect dev lo", p->path);
	snapshot(p, had, sizeof(had));
	assert_int_equal(attach(p, &g, &text), EBUSY);
	assert_non_null(strstr(text, "eth0 has a u32 filter (pref 49152, redirects to lo) that is "
			       "not ours"));
	free(text);
	text = NULL;
	assert_int_equal(detach(p, &g, &text), 0);
	assert_string_equal(text, "{\"left\":[\"the ingress qdisc of eth0 is not ours\"]}");
	snapshot(p, now, sizeof(now));
	assert_string_equal(now, had);
}

static void test_an_empty_clsact_of_somebody_else_is_used_and_stays(void **state)
{
	struct pod *p = *state;
	struct guest g;
	char had[4096];
	char now[4096];

	run(IN_POD "tc qdisc add dev eth0 clsact", p->path);
	snapshot(p, had, sizeof(had));
	make(p, &g, 1);
	unmake(p, &g);
	snapshot(p, now, sizeof(now));
	assert_string_equal(now, had);
}

static void test_a_filter_that_somebody_adds_keeps_its_qdisc(void **state)
{
	struct pod *p = *state;
	struct guest g;
	char now[4096];

	make(p, &g, 1);
	run(IN_POD "tc filter add dev eth0 ingress pref 7 protocol arp u32 match u8 0 0 action "
	    "mirred egress mirror dev lo", p->path);
	unmake(p, &g);
	snapshot(p, now, sizeof(now));
	assert_non_null(strstr(now, "pref 7 "));
	assert_null(strstr(now, "tap0_urunc"));
}

static void test_two_guests_of_a_pod_both_hear_and_end_no_connection(void **state)
{
	struct pod *p = *state;
	struct guest a, b;
	uint8_t f[FRAME];
	auto_fd int peer = -1;

	make(p, &a, 1);
	make(p, &b, 2);
	assert_string_equal(b.tap, "tap1_urunc");
	wake_tap(p, &a);
	wake_tap(p, &b);
	peer = listen_at(p, "peer", false);
	say_word(peer, "to all");
	assert_int_equal(hears(a.fd, "to all"), 1);
	assert_int_equal(hears(b.fd, "to all"), 1);
	for (int i = 0; i < 2; i++) {
		struct guest *g = i ? &b : &a;

		fill_tcp(f, 0x14, "RESET");
		say(g->fd, f);
		fill_tcp(f, 0x10, "ACK");
		say(g->fd, f);
		say_word(g->fd, "ACK");
		assert_int_equal(hears(peer, "RESET"), 0);
		fill_tcp(f, 0x10, "ACK");
		say(g->fd, f);
		say_word(g->fd, "ACK");
		assert_int_equal(hears(peer, "ACK"), 2);
	}
	(void)close(a.fd);
	(void)close(b.fd);
	unmake(p, &a);
	unmake(p, &b);
	assert_as_before(p);
}

static void test_a_guest_that_stays_behind_keeps_hearing(void **state)
{
	struct pod *p = *state;
	struct guest a, b, c;
	auto_fd int peer = -1;

	make(p, &a, 1);
	make(p, &b, 2);
	wake_tap(p, &b);
	unmake(p, &a);
	peer = listen_at(p, "peer", false);
	say_word(peer, "still");
	assert_int_equal(hears(b.fd, "still"), 1);
	make(p, &c, 3); /* a free name is used again */
	assert_string_equal(c.tap, "tap0_urunc");
	say_word(peer, "again");
	assert_int_equal(hears(b.fd, "again"), 1);
	(void)close(b.fd);
	unmake(p, &c);
	unmake(p, &b);
	assert_as_before(p);
}

/* ---- deaths ------------------------------------------------------------------------------- */

/* The calls that change anything, or end it; between two of them a death is as one at the
 * next. NET_ALL=1 counts every call. */
static bool counts(pid_t pid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	return getenv("NET_ALL") || info.entry.nr == SYS_ioctl || info.entry.nr == SYS_sendto ||
	       info.entry.nr == SYS_exit_group;
}

static pid_t start_traced(const struct pod *p, const struct guest *g)
{
	auto_free char *args = NULL;
	int status;
	pid_t pid;

	assert_true(asprintf(&args, SHAPE, p->path, g->have) > 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err = ERR_INIT;
		json_object *o = json_tokener_parse(args);
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		(void)dup2(null, 1);
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGSTOP);
		_exit(net_attach(o, &err) < 0 ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
				PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD), 0);
	return pid;
}

/* Run net_attach() in a child that dies as it enters its Nth call that counts; false: it
 * makes no more than that. */
static bool dies_at(const struct pod *p, const struct guest *g, int n)
{
	pid_t pid = start_traced(p, g);
	int status;

	for (;;) {
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		if (counts(pid) && n-- == 0)
			break;
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

static void kill_everywhere(struct pod *p, int digit)
{
	char had[4096];
	char now[4096];
	struct guest g;
	int n = 0;

	snapshot(p, had, sizeof(had));
	for (;; n++) {
		bool died;

		look(p, &g, digit);
		died = dies_at(p, &g, n);
		unmake(p, &g);
		snapshot(p, now, sizeof(now));
		if (strcmp(now, had) != 0)
			fail_msg("killed at call %d, and this is left:\n%s", n, now);
		if (!died)
			break;
	}
	print_message("# %d deaths\n", n);
	assert_true(n > 15);
}

static void test_killed_at_every_effect_it_is_taken_back(void **state)
{
	kill_everywhere(*state, 1);
}

static void test_killed_at_every_effect_beside_another_guest_too(void **state)
{
	struct pod *p = *state;
	struct guest a;

	make(p, &a, 1);
	kill_everywhere(p, 2);
	unmake(p, &a);
	assert_as_before(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, pod_up, pod_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_look_names_the_pods_interface_and_a_free_tap),
		TEST(test_frames_go_from_the_guest_to_the_peer_and_back),
		TEST(test_the_tap_carries_alias_mtu_and_owner),
		TEST(test_the_pod_hears_nothing_while_a_guest_does_and_all_after),
		TEST(test_doing_it_twice_changes_nothing_and_undoing_it_twice_neither),
		TEST(test_a_namespace_that_is_gone_is_said_to_be),
		TEST(test_a_process_by_that_pid_that_is_not_ours_is_refused),
		TEST(test_the_nodes_own_network_is_never_taken_over),
		TEST(test_a_pod_without_an_address_has_no_network),
		TEST(test_a_foreign_tap_of_the_name_is_passed_over_and_untouched),
		TEST(test_a_foreign_ingress_is_refused_by_name_and_untouched),
		TEST(test_an_empty_clsact_of_somebody_else_is_used_and_stays),
		TEST(test_a_filter_that_somebody_adds_keeps_its_qdisc),
		TEST(test_two_guests_of_a_pod_both_hear_and_end_no_connection),
		TEST(test_a_guest_that_stays_behind_keeps_hearing),
		TEST(test_killed_at_every_effect_it_is_taken_back),
		TEST(test_killed_at_every_effect_beside_another_guest_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
