/*
 * lua.c - lua N: run the Lua script on standard input, which finds N in the global variable `n`.
 *
 * With the libraries that compute and no others, so that it is the same program wherever there is a C library.
 */
#include "driver.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

int main(int argc, char **argv)
{
    static const luaL_Reg libraries[] = {
        {LUA_GNAME, luaopen_base}, {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},
        {LUA_MATHLIBNAME, luaopen_math},
    };
    size_t size;
    char *script = (char *)read_input(&size);
    lua_State *state = luaL_newstate();

    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(state, libraries[i].name, libraries[i].func, 1);
        lua_pop(state, 1);
    }
    lua_pushinteger(state, argc > 1 ? atol(argv[1]) : 0);
    lua_setglobal(state, "n");
    if (luaL_loadbufferx(state, script, size, "script", "t"))
        fail(lua_tostring(state, -1));
    lua_call(state, 0, 0);
    lua_close(state);
    return 0;
}
