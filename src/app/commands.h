/* One subcommand, one file: command_<name>.c. argv[0] is the subcommand's name. Returns the
 * process's exit code: 0 for success, 1 for a failed run, 2 for bad usage. */
#ifndef POPGATE_APP_COMMANDS_H
#define POPGATE_APP_COMMANDS_H

int command_run(int argc, char **argv);
int command_validate(int argc, char **argv);
int command_demo_authority(int argc, char **argv);
int command_token(int argc, char **argv);
int command_proof(int argc, char **argv);
int command_bench(int argc, char **argv);

#endif
