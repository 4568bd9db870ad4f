// JSON lines: one object a line on stdout, one command a line on stdin.
import { createInterface } from "node:readline";

/** Print one message, for the test's inbox. */
export function print(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

/**
 * Run `commands[line.command](line)` for each line of stdin; `close` once stdin ends.
 *
 * The end of stdin ends the process: no script outlives the test that started it.
 */
export function serve(commands, close) {
  const input = createInterface({ input: process.stdin, crlfDelay: Infinity });
  input.on("line", async (line) => {
    try {
      const message = JSON.parse(line);
      const command = commands[message.command];
      if (!command) throw new Error(`no such command: ${message.command}`);
      await command(message);
    } catch (error) {
      print({ type: "script_error", message: String(error), line });
    }
  });
  input.on("close", async () => {
    await close();
    process.stdout.write("", () => process.exit(0));
  });
}

/** `[url, options]` of the command line; options are one JSON object. */
export function commandLine(usage) {
  const [url, options = "{}"] = process.argv.slice(2);
  if (!url) {
    process.stderr.write(`usage: ${usage}\n`);
    process.exit(2);
  }
  return [url, JSON.parse(options)];
}
