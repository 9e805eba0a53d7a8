"""Write the texts anew."""

from . import HERE, MODULES, printed

for module in MODULES:
    (HERE / f"{module}.txt").write_text(printed(module), encoding="utf-8")
