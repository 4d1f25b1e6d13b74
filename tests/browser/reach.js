// What the browser tests ask JupyterLab itself, where the page does not show a state.
// Loaded into each page; needs JupyterLab's --expose-app-in-browser.
window.reach = {
  // The tab of a notebook or file; undefined while it is not open.
  panel(path) {
    const open = window.jupyterapp ? [...window.jupyterapp.shell.widgets('main')] : [];
    return open.find(widget => widget.context?.path === path);
  },

  kernel(path) {
    return this.panel(path)?.sessionContext?.session?.kernel?.status ?? 'none';
  },

  // Restored, visible, with a kernel that has nothing to do.
  isReady(path) {
    const panel = this.panel(path);
    return Boolean(
      panel?.isVisible && panel.context.isReady && panel.sessionContext.isReady
      && this.kernel(path) === 'idle'
    );
  },

  codeCells(path) {
    return [...this.panel(path).context.model.cells].filter(cell => cell.type === 'code');
  },

  // How often the kernel had run anything when a cell was run last, by the cells' ids.
  counts(path) {
    return Object.fromEntries(this.codeCells(path).map(cell => [cell.id, cell.executionCount]));
  },

  // Ids of the cells that have not come to an end since these counts; of those named, or of all.
  unfinished(path, before, ids) {
    const asked = this.codeCells(path).filter(cell => !ids || ids.includes(cell.id));
    const hasRun = ({ id, executionState, executionCount }) =>
      executionState === 'idle' && executionCount !== null && executionCount !== before[id];
    return asked.filter(cell => !hasRun(cell)).map(cell => cell.id);
  },

  // Outputs that say that something went wrong.
  errors(path) {
    return this.codeCells(path).flatMap(cell => cell.sharedModel.getOutputs().filter(
      output => output.output_type === 'error' || output.name === 'stderr'
    ).map(output => `${cell.id}: ${output.evalue ?? output.text}`));
  },

  // The key that brings the focus nearer to an element.
  keyTowards(element) {
    const where = document.activeElement.compareDocumentPosition(element);
    return where & Node.DOCUMENT_POSITION_PRECEDING ? 'Shift+Tab' : 'Tab';
  },

  // What an element's lines of status say from now on, in a list that grows; each change once.
  listen(element) {
    const heard = [];
    const note = () => {
      const lines = [...element.querySelectorAll('[role="status"]')].map(line => line.textContent);
      const said = lines.filter(Boolean).join('; ');
      if (said && said !== heard.at(-1)) heard.push(said);
    };
    new MutationObserver(note).observe(
      element, { subtree: true, childList: true, characterData: true }
    );
    this.heard = heard;
  },

  // Two open tabs side by side.
  putBeside(left, right) {
    const ref = this.panel(left).id;
    window.jupyterapp.shell.add(this.panel(right), 'main', { mode: 'split-right', ref });
  },

  // Bring a cell into view; its number, by which the page knows it.
  async show(path, id) {
    const panel = this.panel(path);
    const number = panel.content.widgets.findIndex(cell => cell.model.id === id);
    await panel.content.scrollToItem(number, 'start');
    return number;
  },
};
