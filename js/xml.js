'use strict';
// A document of XML, each element in a line of its own.

const fs = require('node:fs');
const path = require('node:path');

const { writeWhole } = require('./files');

/**
 * A file as GitLab looks for it: from the top of the repository, in its CI; elsewhere as it is.
 *
 * @param {string} file
 * @param {string} folder that it is relative to
 */
function fromTop(file, folder) {
  const { CI_PROJECT_DIR: top, GITLAB_CI: ci } = process.env;
  if (!ci || !top) return file;
  const real = (name) => (fs.existsSync(name) ? fs.realpathSync(name) : name);
  const found = path.relative(real(top), real(path.resolve(folder, file)));
  return found === '..' || found.startsWith(`..${path.sep}`) ? file : found;
}

class Xml {
  #document;
  #serializer;
  #clean;

  /**
   * @param {string} root its tag
   * @param {(text: string) => string} clean leaves what XML can hold
   */
  constructor(root, clean) {
    const { DOMImplementation, XMLSerializer } = require('@xmldom/xmldom'); // other runs do without
    this.#document = new DOMImplementation().createDocument(null, root);
    this.#serializer = new XMLSerializer();
    this.#clean = (text) => clean(String(text));
  }

  /** An element with a text or with others. */
  element(tag, attributes = {}, text, children = []) {
    const found = this.#document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      found.setAttribute(name, this.#clean(value));
    }
    if (text !== undefined) found.textContent = this.#clean(text);
    for (const child of children) found.appendChild(child);
    return found;
  }

  /** Appends elements below another, each in a line of its own. */
  append(parent, children, margin) {
    for (const child of children) {
      parent.appendChild(this.#document.createTextNode(`\n${margin}  `));
      parent.appendChild(child);
    }
    if (children.length > 0) parent.appendChild(this.#document.createTextNode(`\n${margin}`));
  }

  /** Writes it, whole or not at all. */
  write(file, attributes, children) {
    const root = this.#document.documentElement;
    for (const [name, value] of Object.entries(attributes)) {
      root.setAttribute(name, this.#clean(value));
    }
    this.append(root, children, '');
    const text = this.#serializer.serializeToString(this.#document);
    writeWhole(file, `<?xml version="1.0" encoding="UTF-8"?>\n${text}\n`);
  }
}

module.exports = { fromTop, Xml };
