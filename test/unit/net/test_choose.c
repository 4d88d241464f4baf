/* SPDX-License-Identifier: Apache-2.0 */
/* What would be made in a namespace that looks like this. */
#include "supervisor/net/choose.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 1100

struct view {
	struct net_link links[MAX];
	struct net_addr addrs[4];
	struct net_route routes[4];
	struct net_qdisc qdiscs[2];
	struct net_filter filters[4];
	struct net_picture p;
	struct net_choice c;
	struct err err;
};

static struct net_link *add_link(struct view *v, int index, const char *name)
{
	struct net_link *l = &v->links[v->p.n_links++];

	*l = (struct net_link){ .index = index, .ethernet = true, .up = true, .mtu = 1500 };
	(void)snprintf(l->name, sizeof(l->name), "%.15s", name);
	return l;
}

static uint8_t family_of(const char *ip)
{
	return strchr(ip, ':') ? AF_INET6 : AF_INET;
}

static struct net_addr *add_addr(struct view *v, int index, const char *ip)
{
	struct net_addr *a = &v->addrs[v->p.n_addrs++];

	*a = (struct net_addr){ .index = index, .family = family_of(ip), .lasting = true,
				.prefix = family_of(ip) == AF_INET ? 24 : 64 };
	assert_int_equal(inet_pton(a->family, ip, a->ip), 1);
	return a;
}

static void add_route(struct view *v, int index, const char *gateway, uint32_t metric)
{
	struct net_route *r = &v->routes[v->p.n_routes++];

	*r = (struct net_route){ .index = index, .family = family_of(gateway), .via = true,
				 .metric = metric };
	assert_int_equal(inet_pton(r->family, gateway, r->gateway), 1);
}

static struct net_filter *add_filter(struct view *v, const char *cookie)
{
	struct net_filter *f = &v->filters[v->p.n_filters++];

	*f = (struct net_filter){ .index = 2, .kind = "u32", .pref = 7, .has_cookie = *cookie };
	memcpy(f->cookie, cookie, strlen(cookie));
	return f;
}

static void add_qdisc(struct view *v, const char *kind)
{
	struct net_qdisc *q = &v->qdiscs[v->p.n_qdiscs++];

	*q = (struct net_qdisc){ .index = 2 };
	(void)snprintf(q->kind, sizeof(q->kind), "%s", kind);
}

static int choose(struct view *v)
{
	return net_choose(&v->c, &v->p, &v->err);
}

/* lo and eth0, number 2, with an address and a route. */
static int view_up(void **state)
{
	struct view *v = calloc(1, sizeof(*v));

	if (!v)
		return -1;
	v->p = (struct net_picture){ .links = v->links, .addrs = v->addrs, .routes = v->routes,
				     .qdiscs = v->qdiscs, .filters = v->filters };
	add_link(v, 1, "lo")->loopback = true;
	add_addr(v, 1, "127.0.0.1");
	add_link(v, 2, "eth0");
	add_addr(v, 2, "10.4.0.2");
	add_route(v, 2, "10.4.0.1", 100);
	*state = v;
	return 0;
}

static int view_down(void **state)
{
	free(*state);
	return 0;
}

static void a_route_of_the_other_family_takes_no_network_away(void **state)
{
	struct view *v = *state;

	v->p.n_routes = 0;
	add_route(v, 2, "fe80::1", 1024);
	assert_int_equal(choose(v), 0);
	assert_non_null(v->c.uplink);
	assert_string_equal(v->c.uplink->name, "eth0");
	assert_string_equal(v->c.ip, "10.4.0.2/24");
	assert_string_equal(v->c.gateway, "");
}

static void the_interface_of_the_default_route_is_the_pods(void **state)
{
	struct view *v = *state;

	add_link(v, 3, "eth1");
	add_addr(v, 3, "10.5.0.2");
	v->routes[0].index = 3;
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.uplink->name, "eth1");
	assert_string_equal(v->c.ip, "10.5.0.2/24");
	assert_string_equal(v->c.gateway, "10.4.0.1");
}

static void without_any_route_the_first_one_with_an_address_is(void **state)
{
	struct view *v = *state;

	v->p.n_routes = 0;
	add_link(v, 3, "eth1");
	add_addr(v, 3, "10.5.0.2");
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.uplink->name, "eth0");
	assert_string_equal(v->c.gateway, "");
}

static void the_route_that_the_kernel_prefers_names_the_gateway(void **state)
{
	struct view *v = *state;

	add_route(v, 2, "10.4.0.254", 50);
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.gateway, "10.4.0.254");
}

static void both_families_of_the_interface_are_taken(void **state)
{
	struct view *v = *state;

	add_addr(v, 2, "fd00:4::2");
	add_route(v, 2, "fe80::1", 1024);
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.ip, "10.4.0.2/24");
	assert_string_equal(v->c.gateway, "10.4.0.1");
	assert_string_equal(v->c.ip6, "fd00:4::2/64");
	assert_string_equal(v->c.gateway6, "fe80::1");
}

static void a_pod_of_ipv6_alone_has_an_interface_too(void **state)
{
	struct view *v = *state;

	v->p.n_addrs = 1;
	v->p.n_routes = 0;
	add_addr(v, 2, "fd00:4::2");
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.uplink->name, "eth0");
	assert_string_equal(v->c.ip, "");
	assert_string_equal(v->c.ip6, "fd00:4::2/64");
	assert_string_equal(v->c.gateway6, "");
	add_link(v, 3, "eth1");
	add_addr(v, 3, "fd00:5::2");
	add_route(v, 3, "fd00:5::1", 1024);
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.uplink->name, "eth1");
	assert_string_equal(v->c.gateway6, "fd00:5::1");
}

static void where_the_families_differ_it_is_the_interface_of_ipv4(void **state)
{
	struct view *v = *state;

	v->routes[0].index = 3;
	add_link(v, 3, "eth1");
	add_addr(v, 3, "10.5.0.2");
	add_addr(v, 2, "fd00:4::2");
	add_route(v, 2, "fd00:4::1", 1);
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.uplink->name, "eth1");
	assert_string_equal(v->c.ip6, "");
}

static void an_address_that_lasts_is_preferred(void **state)
{
	struct view *v = *state;

	add_addr(v, 2, "2001:db8::5")->lasting = false;
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.ip6, "2001:db8::5/64");
	add_addr(v, 2, "fd00:4::2");
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.ip6, "fd00:4::2/64");
}

static void what_can_not_be_taken_over_is_none(void **state)
{
	struct view *v = *state;

	v->links[1].up = false;
	assert_int_equal(choose(v), 0);
	assert_null(v->c.uplink);
	assert_non_null(v->c.why_none);
	v->links[1].up = true;
	v->links[1].ethernet = false;
	assert_null(net_uplink(&v->p));
	v->links[1].ethernet = true;
	v->p.n_addrs = 1;
	assert_null(net_uplink(&v->p));
	v->p.n_addrs = 2;
	(void)snprintf(v->links[1].name, IFNAMSIZ, "tap0_urunc");
	assert_null(net_uplink(&v->p));
}

static void the_first_free_name_is_taken_whoever_has_those_before(void **state)
{
	struct view *v = *state;

	add_link(v, 5, "tap0_urunc");
	add_link(v, 6, "tap2_urunc");
	add_link(v, 7, "cni-tap1");
	assert_int_equal(choose(v), 0);
	assert_string_equal(v->c.tap, "tap1_urunc");
	assert_int_equal(v->c.slot, 1);
}

static void too_many_taps_are_refused(void **state)
{
	struct view *v = *state;
	char name[32];

	for (int i = 0; i < SLOT_MAX; i++) {
		(void)snprintf(name, sizeof(name), "tap%d_urunc", i);
		add_link(v, 10 + i, name);
	}
	assert_int_equal(choose(v), -EMFILE);
}

static void a_free_ingress_is_ours_to_make(void **state)
{
	struct view *v = *state;

	assert_int_equal(choose(v), 0);
	assert_int_equal(v->c.qdisc, QDISC_MADE);
	add_qdisc(v, "clsact");
	assert_int_equal(choose(v), 0);
	assert_int_equal(v->c.qdisc, QDISC_FOUND);
	(void)add_filter(v, "urnc000000000000");
	assert_int_equal(choose(v), 0);
	assert_int_equal(v->c.qdisc, QDISC_JOINED);
}

static void an_ingress_is_ours_by_its_cookie(void **state)
{
	struct net_qdisc q = { .cookie = "urnc00000000000" };

	(void)state;
	assert_false(net_made_by_us(&q));
	q.has_cookie = true;
	assert_true(net_made_by_us(&q));
	q.cookie[3] = 'C';
	assert_false(net_made_by_us(&q));
}

static void a_cookie_is_read_whole_or_not_at_all(void **state)
{
	uint8_t cookie[WIRE_COOKIE];

	(void)state;
	assert_int_equal(net_read_cookie(cookie, "75726e6366303132333435363738396a"), 0);
	assert_memory_equal(cookie, "urncf0123456789j", WIRE_COOKIE);
	assert_int_equal(net_read_cookie(cookie, "75726e63"), -EINVAL);
	assert_int_equal(net_read_cookie(cookie, "75726e63xx303132333435363738396a"), -EINVAL);
}

static void somebody_elses_ingress_is_refused_by_name(void **state)
{
	struct view *v = *state;
	struct net_filter *f;

	add_qdisc(v, "ingress");
	assert_int_equal(choose(v), -EBUSY);
	assert_non_null(strstr(v->err.text, "eth0 has an ingress qdisc that is not ours"));
	f = add_filter(v, "");
	f->redirects = true;
	assert_int_equal(choose(v), -EBUSY);
	assert_non_null(strstr(v->err.text, "redirects to an interface that is gone"));
	assert_non_null(strstr(v->err.text, "tc qdisc del dev eth0 ingress"));
	add_link(v, 9, "tap9");
	f->to = 9;
	assert_int_equal(choose(v), -EBUSY);
	assert_non_null(strstr(v->err.text, "redirects to tap9"));
	f->has_cookie = true; /* of some other program */
	assert_int_equal(choose(v), -EBUSY);
}

static void tap_names_are_those_and_no_others(void **state)
{
	static const char *const yes[] = { "tap0_urunc", "tap7_urunc", "tap123_urunc" };
	static const char *const no[] = { "tap_urunc", "tap0", "xtap0_urunc", "tap0_urunc1",
					  "tapX_urunc", "tap-1_urunc", "tap 1_urunc", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(net_is_tap_name(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(net_is_tap_name(no[i]));
}

static void a_qdiscs_word_is_read_back(void **state)
{
	(void)state;
	for (int i = QDISC_MADE; i <= QDISC_FOUND; i++)
		assert_int_equal(net_qdisc_of(net_qdisc_name((enum net_qdisc_is)i)), i);
	assert_int_equal(net_qdisc_of("stolen"), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, view_up, view_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_route_of_the_other_family_takes_no_network_away),
		TEST(the_interface_of_the_default_route_is_the_pods),
		TEST(without_any_route_the_first_one_with_an_address_is),
		TEST(the_route_that_the_kernel_prefers_names_the_gateway),
		TEST(both_families_of_the_interface_are_taken),
		TEST(a_pod_of_ipv6_alone_has_an_interface_too),
		TEST(where_the_families_differ_it_is_the_interface_of_ipv4),
		TEST(an_address_that_lasts_is_preferred),
		TEST(what_can_not_be_taken_over_is_none),
		TEST(the_first_free_name_is_taken_whoever_has_those_before),
		TEST(too_many_taps_are_refused),
		TEST(a_free_ingress_is_ours_to_make),
		TEST(an_ingress_is_ours_by_its_cookie),
		TEST(a_cookie_is_read_whole_or_not_at_all),
		TEST(somebody_elses_ingress_is_refused_by_name),
		TEST(tap_names_are_those_and_no_others),
		TEST(a_qdiscs_word_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
