"""The fragment verifier: a second opinion on translated code, before it can be reached.

:func:`problems` judges one fragment, :func:`single_problems` an instruction that is executed alone, :func:`audit` all of a
guest's code as it stands; each says what is wrong, one line each. They share no code with the translators. As a module,
this is a :class:`reference.verifier.Verifier`.
"""

from vx32py.verify.caches import audit
from vx32py.verify.control import stub_problems
from vx32py.verify.decoding import single_problems
from vx32py.verify.fragments import problems

__all__ = ["audit", "problems", "single_problems", "stub_problems"]
