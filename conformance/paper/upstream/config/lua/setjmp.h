/* Nothing: Lua is compiled without setjmp (see recipes.py), and WASI's header refuses to be included. */
