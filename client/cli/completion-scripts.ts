/** Scripts that complete the words of `culvert` in a shell, made from the command tree itself. Pure. */

/** A command with what may follow it. */
export interface CommandWords {
  readonly name: string;
  readonly text: string;
  readonly options: readonly string[];
  readonly children: readonly CommandWords[];
}

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export function completionScript(shell: Shell, root: CommandWords): string {
  switch (shell) {
    case 'bash':
      return bashScript(root);
    case 'zsh':
      // zsh understands the script of bash when it is told to.
      return `#compdef ${root.name}\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(root)}`;
    case 'fish':
      return fishScript(root);
  }
}

/** Every way through the tree, as 'culvert dns fallback', with the words that may come next. */
function paths(
  command: CommandWords,
  before: readonly string[] = [],
): readonly [string, readonly string[]][] {
  const here = [...before, command.name];
  const next = [...command.children.map(({ name }) => name), ...command.options];
  return [[here.join(' '), next], ...command.children.flatMap((child) => paths(child, here))];
}

function bashScript(root: CommandWords): string {
  const cases = paths(root).map(([path, next]) => `    '${path}') next='${next.join(' ')}' ;;`);
  return [
    `# Completion of ${root.name}. To use it: eval "$(${root.name} completions bash)"`,
    `_${root.name}() {`,
    '  local i path next=""',
    `  path='${root.name}'`,
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    '    case ${COMP_WORDS[i]} in',
    '      --) return ;;',
    '      -*) ;;',
    '      *) path="$path ${COMP_WORDS[i]}" ;;',
    '    esac',
    '  done',
    '  case $path in',
    ...cases,
    '  esac',
    '  COMPREPLY=($(compgen -W "$next" -- "${COMP_WORDS[COMP_CWORD]}"))',
    '}',
    `complete -o default -F _${root.name} ${root.name}`,
    '',
  ].join('\n');
}

function fishScript(root: CommandWords): string {
  const top = root.children.map(
    (child) =>
      `complete -c ${root.name} -f -n __fish_use_subcommand -a '${child.name}' -d '${quoted(child.text)}'`,
  );
  const deeper = root.children.flatMap((child) =>
    child.children.map(
      (leaf) =>
        `complete -c ${root.name} -f -n '__fish_seen_subcommand_from ${child.name}' -a '${leaf.name}' -d '${quoted(leaf.text)}'`,
    ),
  );
  const head = `# Completion of ${root.name}. To use it: ${root.name} completions fish | source`;
  return [head, ...top, ...deeper, ''].join('\n');
}

function quoted(text: string): string {
  return text.replaceAll("'", "\\'");
}
