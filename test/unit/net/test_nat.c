/* SPDX-License-Identifier: Apache-2.0 */
/* A guest behind NAT: which subnet, what stands in its way, and its table as a message. */
#include "supervisor/net/choose.h"
#include "supervisor/net/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEQ 77

static const uint8_t cookie[WIRE_COOKIE] = "urnc0123456789ab";

struct view {
	struct net_link links[4];
	struct net_addr addrs[4];
	struct net_filter filters[2];
	struct net_table tables[4];
	struct net_picture p;
	struct net_choice c;
	struct err err;
};

static struct net_link *add_link(struct view *v, int index, const char *name)
{
	struct net_link *l = &v->links[v->p.n_links++];

	*l = (struct net_link){ .index = index, .ethernet = true, .up = true };
	(void)snprintf(l->name, sizeof(l->name), "%.15s", name);
	return l;
}

static void add_addr(struct view *v, int index, const char *ip, uint8_t prefix)
{
	struct net_addr *a = &v->addrs[v->p.n_addrs++];

	*a = (struct net_addr){ .index = index, .family = AF_INET, .prefix = prefix };
	assert_int_equal(inet_pton(AF_INET, ip, a->ip), 1);
}

static void add_table(struct view *v, const char *mark, bool kept)
{
	struct net_table *t = &v->tables[v->p.n_tables++];

	*t = (struct net_table){ .has_cookie = true, .kept = kept };
	memcpy(t->cookie, mark, strlen(mark));
}

static int choose(struct view *v)
{
	return net_choose_nat(&v->c, &v->p, &v->err);
}

/* eth0, number 2, with an address. */
static struct view *view_open(void)
{
	struct view *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	v->p = (struct net_picture){ .links = v->links, .addrs = v->addrs, .filters = v->filters,
				     .tables = v->tables };
	add_link(v, 2, "eth0");
	add_addr(v, 2, "10.4.0.2", 24);
	return v;
}

static void a_subnet_belongs_to_the_name_of_its_tap(void **state)
{
	struct view *v = view_open();

	(void)state;
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.tap, "tap0_urunc");
	assert_string_equal(v->c.ip, "172.16.1.2/24");
	assert_string_equal(v->c.gateway, "172.16.1.1");
	add_link(v, 3, "tap0_urunc");
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.tap, "tap1_urunc");
	assert_string_equal(v->c.ip, "172.16.2.2/24");
	free(v);
}

static void a_subnet_that_is_in_use_is_passed_over(void **state)
{
	struct view *v = view_open();

	(void)state;
	add_addr(v, 2, "172.16.1.200", 32);
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.ip, "172.16.2.2/24");
	add_addr(v, 2, "172.16.2.9", 23); /* of 2 and 3 */
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.ip, "172.16.4.2/24");
	v->addrs[1].prefix = 12;
	assert_int_equal(choose(v), -EADDRINUSE);
	assert_non_null(strstr(v->err.text, "the pod has the address 172.16.1.200/12"));
	free(v);
}

static void a_note_of_the_first_is_taken_over_by_who_comes_later(void **state)
{
	struct view *v = view_open();

	(void)state;
	assert_int_equal(choose(v), 0);
	assert_false(v->c.kept);
	v->links[0].forwards = true;
	assert_int_equal(choose(v), 0);
	assert_true(v->c.kept);
	add_table(v, "somebody else's", false);
	assert_int_equal(choose(v), 0);
	assert_true(v->c.kept);
	add_table(v, "urnc", false);
	assert_int_equal(choose(v), 0);
	assert_false(v->c.kept);
	v->tables[1].kept = true;
	v->links[0].forwards = false;
	assert_int_equal(choose(v), 0);
	assert_true(v->c.kept);
	free(v);
}

static void a_living_guest_that_takes_all_is_refused_and_a_dead_one_is_not(void **state)
{
	struct view *v = view_open();
	struct net_link *tap = add_link(v, 3, "tap0_urunc");

	(void)state;
	v->filters[v->p.n_filters++] = (struct net_filter){ .index = 2, .redirects = true, .to = 3,
							    .has_cookie = true };
	memcpy(v->filters[0].cookie, cookie, WIRE_COOKIE);
	assert_int_equal(choose(v), 0);
	tap->running = true;
	assert_int_equal(choose(v), -EBUSY);
	assert_non_null(strstr(v->err.text, "goes to another guest of the pod, at tap0_urunc"));
	free(v);
}

static void a_guest_behind_nat_is_not_cut_off_while_it_lives(void **state)
{
	struct view *v = view_open();
	struct net_link *tap = add_link(v, 3, "tap0_urunc");

	(void)state;
	(void)snprintf(tap->alias, sizeof(tap->alias), "urunc:a/b/c");
	add_addr(v, 3, "172.16.1.1", 24);
	assert_int_equal(net_choose(&v->c, &v->p, &v->err), 0);
	tap->running = true;
	assert_int_equal(net_choose(&v->c, &v->p, &v->err), -EBUSY);
	assert_non_null(strstr(v->err.text, "tap0_urunc of this pod is a guest's behind NAT"));
	free(v);
}

static void without_ipv4_there_is_no_nat_and_without_an_interface_no_network(void **state)
{
	struct view *v = view_open();

	(void)state;
	v->addrs[0].family = AF_INET6;
	assert_int_equal(choose(v), -ENOTSUP);
	v->p.n_addrs = 0;
	assert_int_equal(choose(v), 0);
	assert_null(v->c.uplink);
	assert_non_null(v->c.why_none);
	free(v);
}

/* The second message of a batch is the table. */
static struct nlmsghdr *table_of(struct nlmsghdr *batch)
{
	struct nlmsghdr *m = (void *)((char *)batch + MNL_ALIGN(batch->nlmsg_len));

	assert_int_equal(batch->nlmsg_type, NFNL_MSG_BATCH_BEGIN);
	assert_true(m->nlmsg_flags & NLM_F_EXCL);
	m->nlmsg_seq = SEQ;
	return m;
}

static void a_table_is_read_as_it_was_made(void **state)
{
	char comment[300];
	uint64_t buf[NFT_SIZE / 8];
	struct nft_nat nat = { .table = "urunc_1", .comment = comment, .cookie = cookie,
			       .kept = true };
	struct net_picture p = { 0 };
	struct nlmsghdr *m;

	(void)state;
	memset(comment, 'x', sizeof(comment));
	comment[sizeof(comment) - 1] = '\0';
	m = table_of(nft_add(buf, &nat));
	assert_int_equal(wire_read(&p, m, m->nlmsg_len, SEQ), 1);
	nat.kept = false;
	nat.comment = "";
	m = table_of(nft_add(buf, &nat));
	assert_int_equal(wire_read(&p, m, m->nlmsg_len, SEQ), 1);
	assert_int_equal(p.n_tables, 2);
	assert_string_equal(p.tables[0].name, "urunc_1");
	assert_true(net_is_our_table(&p.tables[0]));
	assert_memory_equal(p.tables[0].cookie, cookie, WIRE_COOKIE);
	assert_true(p.tables[0].kept);
	assert_true(net_is_our_table(&p.tables[1]));
	assert_false(p.tables[1].kept);
	picture_clear(&p);
}

static void userdata_that_is_cut_short_is_no_cookie(void **state)
{
	uint64_t buf[NFT_SIZE / 8];
	const struct nft_nat nat = { .table = "t", .comment = "", .cookie = cookie };
	struct net_picture p = { 0 };
	struct nlmsghdr *m = table_of(nft_add(buf, &nat));
	uint8_t *data = (uint8_t *)m + m->nlmsg_len - 24; /* 22 bytes of it, and 2 to fill */

	(void)state;
	for (int size = 0; size < 256; size++) {
		data[1] = (uint8_t)size;
		assert_int_equal(wire_read(&p, m, m->nlmsg_len, SEQ), 1);
		assert_int_equal(p.tables[size].has_cookie, size == 1);
	}
	picture_clear(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_subnet_belongs_to_the_name_of_its_tap),
		cmocka_unit_test(a_subnet_that_is_in_use_is_passed_over),
		cmocka_unit_test(a_note_of_the_first_is_taken_over_by_who_comes_later),
		cmocka_unit_test(a_living_guest_that_takes_all_is_refused_and_a_dead_one_is_not),
		cmocka_unit_test(a_guest_behind_nat_is_not_cut_off_while_it_lives),
		cmocka_unit_test(without_ipv4_there_is_no_nat_and_without_an_interface_no_network),
		cmocka_unit_test(a_table_is_read_as_it_was_made),
		cmocka_unit_test(userdata_that_is_cut_short_is_no_cookie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
