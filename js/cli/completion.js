'use strict';
// `qe completion`: what a shell needs to complete the words of `qe`. The scripts ask a hidden
// command, `qe complete WORD...`, so that they know what this version knows.

const { Argument, Command } = require('commander');

const { print } = require('./driving');
const { OK } = require('./ends');

const SCRIPTS = {
  bash: `_qe_complete() {
  local IFS=$'\\n'
  COMPREPLY=($(qe complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); fi
}
complete -o filenames -F _qe_complete qe
`,
  zsh: `_qe_complete() {
  local -a found
  found=("\${(@f)$(qe complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -- "\${found[@]}"; else _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _qe_complete qe
`,
  fish: `function _qe_complete
  set -l found (qe complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c qe -f -a '(_qe_complete)'
`,
};

/** The words that may stand where the last of these is. */
function complete(qe, words) {
  const typed = words.at(-1) ?? '';
  let command = qe;
  let before = null;
  for (const word of words.slice(0, -1)) {
    command = command.commands.find((one) => one.name() === word) ?? command;
    before = word;
  }
  const options = command.options.filter(({ hidden }) => !hidden);
  const valued = options.find((one) => one.is(before ?? '') && one.required);
  const known = valued
    ? (valued.argChoices ?? (valued.long === '--framework' ? frameworks() : []))
    : typed.startsWith('-')
      ? ['--help', ...options.map(({ long }) => long)]
      : command.commands.filter(({ _hidden }) => !_hidden).map((one) => one.name());
  return known.filter((word) => word.startsWith(typed));
}

const frameworks = () => require('../frameworks').frameworkNames();

/** @param {(status: number) => void} onEnd */
function command(qe, onEnd, args) {
  qe.addCommand(
    new Command('complete').action(() => {
      const found = complete(qe, args);
      if (found.length > 0) print(`${found.join('\n')}\n`);
      onEnd(OK);
    }),
    { hidden: true },
  );
  return new Command('completion')
    .description('print the script that makes a shell complete words of qe')
    .addArgument(new Argument('<SHELL>').choices(Object.keys(SCRIPTS)))
    .addHelpText('after', '\nExamples:\n  qe completion bash >> ~/.bashrc')
    .action((shell) => {
      print(SCRIPTS[shell]);
      onEnd(OK);
    });
}

module.exports = { command };
