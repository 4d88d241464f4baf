/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/net_rig.h"

#include "journal/base/cleanup.h"
#include "supervisor/net/choose.h"
#include "supervisor/net/talk.h"

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
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

static void must(int rc, const struct err *err)
{
	if (rc < 0)
		fail_msg("%s", err->text);
}

void net_rig_run(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (system(line) != 0)
		fail_msg("%s", line);
}

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

void net_rig_visit(const struct pod *p)
{
	assert_int_equal(setns(p->ns, CLONE_NEWNET), 0);
}

void net_rig_come_back(const struct pod *p)
{
	assert_int_equal(setns(p->own, CLONE_NEWNET), 0);
}

/* Everything that could be left in there, as text. */
void net_rig_snapshot(const struct pod *p, char *buf, size_t size)
{
	struct err err = ERR_INIT;
	struct net_talk t;
	struct net_picture seen = { 0 };
	size_t n = 0;

	net_rig_visit(p);
	must(talk_open(&t, NETLINK_ROUTE, &err), &err);
	must(talk_look(&t, &seen, &err), &err);
	for (size_t i = 0; i < seen.n_links; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s %d %s \"%s\" %d%s\n",
				      seen.links[i].name, seen.links[i].index, seen.links[i].kind,
				      seen.links[i].alias, seen.links[i].up,
				      seen.links[i].forwards ? " forwards" : "");
	for (size_t i = 0; i < seen.n_qdiscs; i++)
		must(talk_ingress(&t, &seen, seen.qdiscs[i].index, &err), &err);
	for (size_t i = 0; i < seen.n_qdiscs; i++)
		n += (size_t)snprintf(buf + n, size - n, "qdisc %s %d\n", seen.qdiscs[i].kind,
				      seen.qdiscs[i].index);
	for (size_t i = 0; i < seen.n_filters; i++)
		n += (size_t)snprintf(buf + n, size - n, "filter at %d %x pref %u to %d\n",
				      seen.filters[i].index, seen.filters[i].parent,
				      seen.filters[i].pref, seen.filters[i].to);
	talk_close(&t);
	must(talk_open(&t, NETLINK_NETFILTER, &err), &err);
	must(talk_tables(&t, &seen, &err), &err);
	for (size_t i = 0; i < seen.n_tables; i++)
		n += (size_t)snprintf(buf + n, size - n, "table %s\n", seen.tables[i].name);
	picture_clear(&seen);
	talk_close(&t);
	net_rig_come_back(p);
}

void net_rig_as_before(const struct pod *p)
{
	char now[4096];

	net_rig_snapshot(p, now, sizeof(now));
	assert_string_equal(now, p->before);
}

int net_rig_up(void **state)
{
	struct pod *p = calloc(1, sizeof(*p));

	if (!p || geteuid() != 0 || unshare(CLONE_NEWNET) < 0 ||
	    node_rig_up((void **)&p->rig) < 0)
		return -1;
	p->holder = hold_namespace();
	(void)snprintf(p->path, sizeof(p->path), "/proc/%d/ns/net", (int)p->holder);
	p->ns = open(p->path, O_RDONLY | O_CLOEXEC);
	p->own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	net_rig_run("ip link set lo up && ip link add peer type veth peer name eth0 netns %d && "
	    "ip link set peer addr 02:00:00:00:00:99 up && " IN_POD "sh -c '"
	    "ip link set lo up; ip link set eth0 addr 02:00:00:00:00:01 mtu 1400 up; "
	    "ip addr add 10.4.0.2/24 dev eth0; ip route add default via 10.4.0.1'",
	    (int)p->holder, p->path);
	net_rig_snapshot(p, p->before, sizeof(p->before));
	*state = p;
	return 0;
}

void net_rig_end_pod(struct pod *p)
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

int net_rig_down(void **state)
{
	struct pod *p = *state;

	net_rig_end_pod(p);
	(void)close(p->own);
	(void)node_rig_down((void **)&p->rig);
	free(p);
	return 0;
}

/* ---- one guest ----------------------------------------------------------------------- */

int net_rig_name(struct guest *g, const char *text, int digit, bool nat)
{
	auto_json json_object *o = json_tokener_parse(text);
	json_object *tap = NULL;

	*g = (struct guest){ .fd = -1 };
	if (!json_object_object_get_ex(o, "tap", &tap))
		return -1;
	(void)snprintf(g->tap, sizeof(g->tap), "%s", json_object_get_string(tap));
	(void)snprintf(g->have, sizeof(g->have), "%s,%.*s,\"alias\":\"urunc:aa/default/c%d\","
		       "\"cookie\":\"75726e63%024d\"", nat ? STATIC : "", (int)strlen(text) - 2,
		       text + 1, digit, digit);
	return 0;
}

void net_rig_look(struct pod *p, struct guest *g, int digit)
{
	auto_free char *text = NULL;
	int code = node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path,
				p->nat ? STATIC : "");

	if (code != 0)
		fail_msg("look: %s", text);
	assert_int_equal(net_rig_name(g, text, digit, p->nat), 0);
}

int net_rig_attach(struct pod *p, struct guest *g, char **text)
{
	return node_rig_job(p->rig, JOB_NET_ATTACH, text, SHAPE, p->path, g->have);
}

int net_rig_detach(struct pod *p, struct guest *g, char **text)
{
	return node_rig_job(p->rig, JOB_NET_DETACH, text, SHAPE, p->path, g->have);
}

void net_rig_make(struct pod *p, struct guest *g, int digit)
{
	auto_free char *text = NULL;

	net_rig_look(p, g, digit);
	if (net_rig_attach(p, g, &text) != 0)
		fail_msg("attach: %s", text);
	assert_non_null(strstr(text, "\"tap_index\":"));
	(void)snprintf(g->have + strlen(g->have), sizeof(g->have) - strlen(g->have), ",%.*s",
		       (int)strlen(text) - 2, text + 1);
}

void net_rig_unmake(struct pod *p, struct guest *g)
{
	auto_free char *text = NULL;

	if (net_rig_detach(p, g, &text) != 0)
		fail_msg("detach: %s", text);
	assert_string_equal(text, "{\"left\":[]}");
}

void net_rig_make_two(struct pod *p, struct guest *a, struct guest *b)
{
	net_rig_make(p, a, 1);
	net_rig_make(p, b, 2);
}

void net_rig_unmake_two(struct pod *p, struct guest *a, struct guest *b)
{
	if (a->fd >= 0)
		(void)close(a->fd);
	if (b->fd >= 0)
		(void)close(b->fd);
	net_rig_unmake(p, a);
	net_rig_unmake(p, b);
	net_rig_as_before(p);
}

/* As its monitor does. */
void net_rig_open_tap(struct pod *p, struct guest *g)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", g->tap);
	net_rig_visit(p);
	g->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	assert_true(g->fd >= 0);
	assert_int_equal(ioctl(g->fd, TUNSETIFF, &ifr), 0);
	net_rig_come_back(p);
}

/* ---- frames ---------------------------------------------------------------------------- */

/* An Ethernet frame with a text; or an IPv4 packet of a protocol, with @flags at the place
 * of TCP's. */
static void fill(uint8_t *f, const char *word)
{
	memset(f, 0, FRAME);
	memcpy(f, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x55\x88\xb5", 14);
	(void)snprintf((char *)f + 14, FRAME - 14, "%s", word);
}

void net_rig_tcp(uint8_t *f, uint8_t flags, const char *word)
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

int net_rig_listen(const struct pod *p, const char *iface, bool in_pod)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd;

	if (in_pod)
		net_rig_visit(p);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	at.sll_ifindex = (int)if_nametoindex(iface);
	assert_true(fd >= 0 && at.sll_ifindex > 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (in_pod)
		net_rig_come_back(p);
	return fd;
}

int net_rig_hears_within(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms);
}

/* Does a frame with this word come, before the one that says "end"? */
int net_rig_hears(int fd, const char *word)
{
	char buf[2048];
	int n = 0;

	for (;;) {
		ssize_t len;

		assert_int_equal(net_rig_hears_within(fd, 10000), 1);
		len = read(fd, buf, sizeof(buf));
		assert_true(len > 0);
		if (memmem(buf, (size_t)len, "end", 3))
			return n;
		if (memmem(buf, (size_t)len, word, strlen(word)))
			n++;
	}
}

void net_rig_say(int fd, const uint8_t *frame)
{
	assert_int_equal(write(fd, frame, FRAME), FRAME);
}

void net_rig_say_word(int fd, const char *word)
{
	uint8_t f[FRAME];

	fill(f, word);
	net_rig_say(fd, f);
	fill(f, "end");
	net_rig_say(fd, f);
}

/* The kernel lets nothing out at an interface until it has taken note, some time later,
 * that somebody has opened it. */
void net_rig_wake_tap(struct pod *p, struct guest *g)
{
	uint8_t f[FRAME];
	auto_fd int peer = net_rig_listen(p, "peer", false);
	int tries = 0;

	net_rig_open_tap(p, g);
	fill(f, "wake up");
	do
		net_rig_say(peer, f);
	while (net_rig_hears_within(g->fd, 50) == 0 && ++tries < 200);
	assert_true(tries < 200);
}
