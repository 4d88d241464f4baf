/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/net/talk.h"

#include "journal/base/cleanup.h"
#include "supervisor/net/choose.h"
#include "supervisor/net/nft.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_SIZE 65536
#define DUMP_TRIES  20 /* each one was disturbed by a change */

int talk_open(struct net_talk *t, int bus, struct err *err)
{
	*t = (struct net_talk){ .nl = mnl_socket_open2(bus, SOCK_CLOEXEC), .bus = bus,
				.seq = (uint32_t)time(NULL) };
	if (!t->nl || mnl_socket_bind(t->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int code = errno;

		talk_close(t);
		return err_set(err, code, "open a netlink socket");
	}
	return 0;
}

void talk_close(struct net_talk *t)
{
	if (t->nl)
		(void)mnl_socket_close(t->nl);
	t->nl = NULL;
}

/* It is one message; or, to nftables, a batch of them. All get the number of the question. */
static size_t number_all(struct nlmsghdr *m, const struct net_talk *t)
{
	const char *begin = (const char *)m;
	bool batch = t->bus == NETLINK_NETFILTER && m->nlmsg_type == NFNL_MSG_BATCH_BEGIN;

	m->nlmsg_seq = t->seq;
	while (batch) {
		m = (void *)((char *)m + MNL_ALIGN(m->nlmsg_len));
		m->nlmsg_seq = t->seq;
		batch = m->nlmsg_type != NFNL_MSG_BATCH_END;
	}
	return (size_t)((const char *)m - begin) + m->nlmsg_len;
}

/* Send, and read what comes into @p; 0, or a negative errno. */
static int ask(struct net_talk *t, struct nlmsghdr *m, struct net_picture *p)
{
	auto_free char *buf = malloc(ANSWER_SIZE);
	int rc = 1;

	if (!buf)
		return -ENOMEM;
	t->seq++;
	if (mnl_socket_sendto(t->nl, m, number_all(m, t)) < 0)
		return -errno;
	while (rc == 1) {
		ssize_t n = mnl_socket_recvfrom(t->nl, buf, ANSWER_SIZE);

		if (n < 0)
			return -errno;
		rc = wire_read(p, buf, (size_t)n, t->seq);
	}
	return rc;
}

static int drain(struct net_talk *t, struct err *err)
{
	talk_close(t);
	return talk_open(t, t->bus, err);
}

static int look_once(struct net_talk *t, struct net_picture *p, struct err *err)
{
	static const char *const names[] = { "interfaces", "addresses", "routes", "qdiscs" };
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];

	for (int what = WIRE_LINKS; what <= WIRE_QDISCS; what++) {
		int rc = ask(t, wire_ask(buf, (enum wire_what)what), p);

		if (rc < 0)
			return err_set(err, -rc, "list the %s", names[what]);
	}
	return 0;
}

int talk_look(struct net_talk *t, struct net_picture *p, struct err *err)
{
	int rc = -EINTR;

	for (int i = 0; rc == -EINTR && i < DUMP_TRIES; i++) {
		picture_clear(p);
		rc = i ? drain(t, err) : 0; /* the rest of the disturbed answer goes too */
		if (rc == 0)
			rc = look_once(t, p, err);
	}
	return rc;
}

static int filters(struct net_talk *t, struct net_picture *p, int index, uint32_t parent,
		   struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	size_t had = p->n_filters;
	int rc = -EINTR;

	for (int i = 0; rc == -EINTR && i < DUMP_TRIES; i++) {
		rc = i ? drain(t, err) : 0;
		p->n_filters = had;
		if (rc == 0)
			rc = ask(t, wire_ask_filters(buf, index, parent), p);
	}
	return rc < 0 ? err_set(err, -rc, "list the filters of interface %d", index) : 0;
}

int talk_ingress(struct net_talk *t, struct net_picture *p, int index, struct err *err)
{
	const struct net_qdisc *q = net_ingress(p, index);
	int rc;

	if (!q)
		return 0;
	if (strcmp(q->kind, "clsact") != 0)
		return filters(t, p, index, AT_QDISC, err);
	rc = filters(t, p, index, AT_INGRESS, err);
	return rc < 0 ? rc : filters(t, p, index, AT_EGRESS, err);
}

int talk_tables(struct net_talk *t, struct net_picture *p, struct err *err)
{
	uint64_t buf[NFT_SIZE / sizeof(uint64_t)];
	int rc = -EINTR;

	for (int i = 0; rc == -EINTR && i < DUMP_TRIES; i++) {
		rc = i ? drain(t, err) : 0;
		p->n_tables = 0;
		if (rc == 0)
			rc = ask(t, nft_ask(buf), p);
	}
	return rc < 0 ? err_set(err, -rc, "list the tables of nftables") : 0;
}

int talk_do(struct net_talk *t, struct nlmsghdr *m, struct err *err, const char *what, ...)
{
	struct net_picture none = { 0 };
	char text[128];
	va_list ap;
	int rc = ask(t, m, &none);

	picture_clear(&none);
	if (rc == 0)
		return 0;
	va_start(ap, what);
	(void)vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	return err_set(err, -rc, "%s", text);
}
