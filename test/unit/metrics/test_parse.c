/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/metrics/parse.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct span span(const char *text)
{
	return (struct span){ text, strlen(text) };
}

static void test_numbers_are_digits_or_max_and_anything_else_is_0(void **state)
{
	(void)state;
	assert_int_equal(stat_number("4096\n", 7), 4096);
	assert_int_equal(stat_number("max\n", 7), 7);
	assert_int_equal(stat_number("maximum\n", 7), 0);
	assert_int_equal(stat_number("-1\n", 7), 0);
	assert_int_equal(stat_number("12a\n", 7), 0);
	assert_int_equal(stat_number("0x10", 7), 0);
	assert_int_equal(stat_number("", 7), 0);
	assert_int_equal(stat_number("\n5", 7), 0);
	assert_int_equal(stat_number(" 5 6", 7), 5);
	assert_true(stat_number("18446744073709551615", 7) == UINT64_MAX);
	assert_true(stat_number("99999999999999999999999", 7) == UINT64_MAX);
}

static void test_fractions_are_plain_decimals(void **state)
{
	(void)state;
	assert_true(span_fraction(span("7.25")) == 7.25);
	assert_true(span_fraction(span("0.00")) == 0);
	assert_true(span_fraction(span("100")) == 100);
	assert_true(span_fraction(span("1.2.3")) == 0);
	assert_true(span_fraction(span("-1.5")) == 0);
	assert_true(span_fraction(span("nan")) == 0);
	assert_true(span_fraction(span("1e300")) == 0);
	assert_true(span_fraction(span("99999999999999999999999999")) == 0);
}

struct pair {
	uint64_t a, b;
};
static const struct stat_key pair_keys[] = {
	{ "a", offsetof(struct pair, a) },
	{ "b", offsetof(struct pair, b) },
};

static void test_keys_match_whole_words_only(void **state)
{
	struct pair p = { 1, 2 };

	(void)state;
	stat_keys("aa 7\na_ 7\nA 7\na\n 7 a\nb  3 9", pair_keys, 2, &p);
	assert_int_equal(p.a, 1);
	assert_int_equal(p.b, 3);
	stat_keys("a -5\nb max", pair_keys, 2, &p);
	assert_int_equal(p.a, 0);
	assert_true(p.b == UINT64_MAX);
}

static void test_words_with_an_equals_sign_are_counted(void **state)
{
	struct pair p = { 0 };

	(void)state;
	assert_int_equal(stat_words(span("a=1 c=2  b=max x =3"), 9, pair_keys, 2, &p), 4);
	assert_int_equal(p.a, 1);
	assert_int_equal(p.b, 9);
	assert_int_equal(stat_words(span(""), 9, pair_keys, 2, &p), 0);
}

static void test_pressure_is_found_by_its_first_word(void **state)
{
	static const char text[] = "some avg10=35.31 avg60=33.20 avg300=20.60 total=189257319\n"
				   "full avg10=0.00 avg60=1.50 avg300=0.00 total=-4\n";
	struct pressure p;

	(void)state;
	assert_true(stat_pressure(text, "some", &p));
	assert_true(p.avg10 > 35.30 && p.avg10 < 35.32);
	assert_true(p.avg300 > 20.59 && p.avg300 < 20.61);
	assert_int_equal(p.total, 189257319);
	assert_true(stat_pressure(text, "full", &p));
	assert_true(p.avg60 == 1.5);
	assert_int_equal(p.total, 0);
	assert_false(stat_pressure("something avg10=1", "some", &p));
	assert_false(stat_pressure("", "some", &p));
}

static void test_blkio_lines_have_an_operation_or_none(void **state)
{
	struct blkio_line l;

	(void)state;
	assert_true(stat_blkio(span("254:16 Read 4096"), &l));
	assert_int_equal(l.major, 254);
	assert_int_equal(l.minor, 16);
	assert_int_equal(l.value, 4096);
	assert_true(span_is(l.op, "Read"));
	assert_true(stat_blkio(span("8:0 512"), &l));
	assert_int_equal(l.op.len, 0);
	assert_int_equal(l.value, 512);
	assert_true(stat_blkio(span("8:0 Write -1"), &l));
	assert_int_equal(l.value, 0);
	assert_false(stat_blkio(span("Total 4096"), &l));
	assert_false(stat_blkio(span("8:0"), &l));
	assert_false(stat_blkio(span("8:x Read 1"), &l));
	assert_false(stat_blkio(span(""), &l));
}

static void test_partitions_begin_with_three_numbers(void **state)
{
	struct partition_line p;

	(void)state;
	assert_true(stat_partition(span(" 254        0  268435456 vda"), &p));
	assert_int_equal(p.major, 254);
	assert_int_equal(p.minor, 0);
	assert_true(span_is(p.name, "vda"));
	assert_false(stat_partition(span("major minor  #blocks  name"), &p));
	assert_false(stat_partition(span(" 254 0 268435456"), &p));
}

static void test_rdma_lines_have_exactly_two_numbers(void **state)
{
	struct rdma_line r;

	(void)state;
	assert_true(stat_rdma(span("mlx5_0 hca_handle=2 hca_object=2000"), &r));
	assert_true(span_is(r.device, "mlx5_0"));
	assert_int_equal(r.handles, 2);
	assert_int_equal(r.objects, 2000);
	assert_true(stat_rdma(span("ocrdma1 hca_handle=max hca_object=99999999999"), &r));
	assert_true(r.handles == UINT32_MAX);
	assert_true(r.objects == UINT32_MAX);
	assert_false(stat_rdma(span("mlx5_0 hca_handle=2"), &r));
	assert_false(stat_rdma(span("mlx5_0 hca_handle=2 hca_object=3 hca_new=4"), &r));
	assert_false(stat_rdma(span(""), &r));
}

static void test_huge_pages_have_the_names_of_control_files(void **state)
{
	char size[24];

	(void)state;
	assert_true(stat_hugepage("hugepages-2048kB", size));
	assert_string_equal(size, "2MB");
	assert_true(stat_hugepage("hugepages-1048576kB", size));
	assert_string_equal(size, "1GB");
	assert_true(stat_hugepage("hugepages-64kB", size));
	assert_string_equal(size, "64KB");
	assert_true(stat_hugepage("hugepages-18446744073709551615kB", size));
	assert_false(stat_hugepage("hugepages-", size));
	assert_false(stat_hugepage("hugepages-kB", size));
	assert_false(stat_hugepage("hugepages-0kB", size));
	assert_false(stat_hugepage("largepages-64kB", size));
	assert_false(stat_hugepage("x", size));
}

static void test_lines_may_be_empty_and_the_last_need_no_end(void **state)
{
	const char *rest = "a\n\nb";
	struct span line;

	(void)state;
	assert_int_equal(stat_lines(rest), 3);
	assert_true(span_line(&rest, &line) && span_is(line, "a"));
	assert_true(span_line(&rest, &line) && span_is(line, ""));
	assert_true(span_line(&rest, &line) && span_is(line, "b"));
	assert_false(span_line(&rest, &line));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_are_digits_or_max_and_anything_else_is_0),
		cmocka_unit_test(test_fractions_are_plain_decimals),
		cmocka_unit_test(test_keys_match_whole_words_only),
		cmocka_unit_test(test_words_with_an_equals_sign_are_counted),
		cmocka_unit_test(test_pressure_is_found_by_its_first_word),
		cmocka_unit_test(test_blkio_lines_have_an_operation_or_none),
		cmocka_unit_test(test_partitions_begin_with_three_numbers),
		cmocka_unit_test(test_rdma_lines_have_exactly_two_numbers),
		cmocka_unit_test(test_huge_pages_have_the_names_of_control_files),
		cmocka_unit_test(test_lines_may_be_empty_and_the_last_need_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
