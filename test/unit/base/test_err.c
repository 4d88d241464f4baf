/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/err.h"

#include "journal/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static void a_failure_reads_from_the_outside_in(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&err, ENODEV, "overlay on %s", "/r"), -ENODEV);
	assert_int_equal(err_wrap(&err, "mount %s", "rootfs"), -ENODEV);
	assert_int_equal(err_wrap(&err, "create %s", "c1"), -ENODEV);
	assert_string_equal(err.text, "create c1: mount rootfs: overlay on /r: No such device");
	assert_int_equal(err.code, ENODEV);
}

static void what_we_found_ourselves_has_no_reason_of_the_system(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_say(&err, EINVAL, "the %s is wrong", "id"), -EINVAL);
	assert_string_equal(err.text, "the id is wrong");
}

static void nobody_listening_is_fine_and_errno_is_kept(void **state)
{
	(void)state;
	errno = 4711;
	assert_int_equal(err_set(NULL, EIO, "x"), -EIO);
	assert_int_equal(err_say(NULL, EIO, "x"), -EIO);
	assert_int_equal(err_wrap(NULL, "x"), -EIO);
	assert_int_equal(errno, 4711);
}

static void a_long_text_is_cut_and_terminated(void **state)
{
	struct err err = ERR_INIT;
	char big[3000];

	(void)state;
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	err_set(&err, EIO, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	err_wrap(&err, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	assert_int_equal(err.code, EIO);
}

static void what_was_never_reported_is_eio(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_wrap(&err, "x"), -EIO);
}

static int give(int how)
{
	auto_fd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	errno = 4711;
	return how ? TAKE_FD(fd) : fd;
}

static void an_armed_descriptor_is_closed_unless_taken(void **state)
{
	int kept = give(1);
	int lost;

	(void)state;
	assert_int_equal(errno, 4711);
	assert_true(fcntl(kept, F_GETFD) >= 0);
	lost = give(0);
	assert_int_equal(fcntl(lost, F_GETFD), -1);
	close(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_reads_from_the_outside_in),
		cmocka_unit_test(what_we_found_ourselves_has_no_reason_of_the_system),
		cmocka_unit_test(nobody_listening_is_fine_and_errno_is_kept),
		cmocka_unit_test(a_long_text_is_cut_and_terminated),
		cmocka_unit_test(what_was_never_reported_is_eio),
		cmocka_unit_test(an_armed_descriptor_is_closed_unless_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
