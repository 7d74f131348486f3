"""Where files of data sets come from: given folders, the cache, downloads; archives read member by member."""
