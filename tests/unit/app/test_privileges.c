#include "app/privileges.h"

#include <criterion/criterion.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

Test(privileges, nobody_named_stays_but_no_exec_regains_any)
{
    char error[256] = "";
    cr_assert_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    cr_assert_eq(privileges_drop("", error, sizeof error), STATUS_OK, "%s", error);
    cr_expect_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    cr_expect_eq(privileges_drop(NULL, error, sizeof error), STATUS_OK);
}

Test(privileges, who_we_are_already_is_no_change)
{
    char error[256] = "";
    const struct passwd *account = getpwuid(geteuid());
    cr_assert_not_null(account);
    cr_expect_eq(privileges_drop(account->pw_name, error, sizeof error), STATUS_OK, "%s", error);
}

Test(privileges, a_user_that_is_none_is_named)
{
    char error[256] = "";
    cr_expect_eq(privileges_drop("no-such-user", error, sizeof error), STATUS_NOT_FOUND);
    cr_expect(strstr(error, "'no-such-user'") != NULL, "%s", error);
}

/* Exit codes of the child: which of its promises did not hold. */
static int become_nobody(uid_t uid, gid_t gid)
{
    char error[256] = "";
    gid_t groups[64];
    if (privileges_drop("nobody", error, sizeof error) != STATUS_OK) {
        return 1;
    }
    uid_t real, effective, saved;
    if (getresuid(&real, &effective, &saved) != 0 || real != uid || effective != uid ||
        saved != uid) {
        return 2;
    }
    if (getgid() != gid || getegid() != gid) {
        return 3;
    }
    int count = getgroups(64, groups);
    for (int i = 0; i < count; i++) {
        if (groups[i] == 0) {
            return 4; /* root's group is left */
        }
    }
    return setuid(0) == 0 || seteuid(0) == 0 ? 5 : 0;
}

Test(privileges, root_becomes_another_with_its_groups_and_for_good)
{
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || nobody == NULL) {
        return; /* only root can */
    }
    uid_t uid = nobody->pw_uid;
    gid_t gid = nobody->pw_gid;
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        _exit(become_nobody(uid, gid));
    }
    int result = -1;
    cr_assert_eq(waitpid(child, &result, 0), child);
    cr_expect(WIFEXITED(result) && WEXITSTATUS(result) == 0, "%d", WEXITSTATUS(result));
}

Test(privileges, another_than_root_cannot_become_anyone)
{
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || nobody == NULL) {
        return;
    }
    uid_t uid = nobody->pw_uid;
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        char error[256] = "";
        bool refused = setuid(uid) == 0 &&
                       privileges_drop("root", error, sizeof error) == STATUS_SYSTEM &&
                       strstr(error, "cannot become 'root'") != NULL;
        _exit(refused ? 0 : 1);
    }
    int result = -1;
    cr_assert_eq(waitpid(child, &result, 0), child);
    cr_expect(WIFEXITED(result) && WEXITSTATUS(result) == 0);
}

Test(privileges, descriptors_are_raised_as_far_as_the_hard_limit)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_geq(limit.rlim_max, 600);
    limit = (struct rlimit){.rlim_cur = 300, .rlim_max = 600};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_expect_eq(privileges_raise_descriptors(200), 300, "never lowered");
    cr_expect_eq(privileges_raise_descriptors(400), 400);
    cr_expect_eq(privileges_raise_descriptors(5000), 600);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_expect_eq(limit.rlim_cur, 600);
}
